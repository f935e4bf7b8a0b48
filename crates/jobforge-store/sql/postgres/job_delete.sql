-- Deletes jobs that are not running. Returns id and status before, for every job that exists.
--
-- $1 ids, $2 by whom. Uses the primary key; attempts, results and logs go with their job.
WITH before AS MATERIALIZED (
  SELECT id, tenant_id, type, status, queue, priority, run_at
  FROM jobforge_jobs
  WHERE id = ANY ($1)
  ORDER BY id
  FOR UPDATE
), ready AS (
  DELETE FROM jobforge_ready r
  USING before b
  WHERE b.status = 'queued' AND r.queue = b.queue AND r.priority = b.priority AND r.run_at = b.run_at AND r.id = b.id
), scheduled AS (
  DELETE FROM jobforge_scheduled s
  USING before b
  WHERE b.status = 'queued' AND s.run_at = b.run_at AND s.id = b.id
), gone AS (
  DELETE FROM jobforge_jobs j
  USING before b
  WHERE j.id = b.id AND b.status <> 'running'
)
SELECT id, status,
  (SELECT count(jobforge_audit_add($2, 'job.delete', id::text, tenant_id,
     jsonb_build_object('status', status, 'type', type, 'queue', queue)::text, NULL))
   FROM before WHERE status <> 'running') AS audited
FROM before
