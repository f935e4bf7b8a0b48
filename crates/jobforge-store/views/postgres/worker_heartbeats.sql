-- The runbooks' worker_heartbeats: a row a worker, but for those that left in good order, which are not stale for ever.
--
-- A tenant sees the workers that run its jobs.
CREATE VIEW worker_heartbeats WITH (security_barrier) AS
SELECT w.id AS worker_id,
       w.hostname,
       w.last_heartbeat_at,
       w.name AS worker_name,
       w.state AS status,
       w.pid,
       w.started_at,
       w.lease_expires_at
FROM jobforge_workers w
WHERE w.state <> 'gone'
  AND ((SELECT jobforge_is_trusted(current_user))
    OR EXISTS (
      SELECT FROM jobforge_jobs j
      WHERE j.status = 'running' AND j.locked_by = w.id AND j.tenant_id = (SELECT jobforge_tenant())))
