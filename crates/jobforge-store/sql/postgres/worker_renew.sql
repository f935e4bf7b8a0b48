-- Renews a worker's lease unless it has run out or was taken. Always one row: the history of the server in which leases were
-- last given out, whether it is another one by now, and how long the lease lasts, null if it was not renewed.
--
-- $1 id, $2 whether the worker is draining. Uses primary keys.
WITH renewed AS (
  UPDATE jobforge_workers w
  SET last_heartbeat_at = jobforge_now(),
      lease_expires_at = jobforge_now() + interval '1 ms'
        * CASE WHEN w.lease_scales THEN greatest(w.lease_ms, f.least_lease_ms) ELSE w.lease_ms END,
      state = CASE WHEN $2 THEN 'draining' ELSE w.state END,
      stopped_at = NULL,
      suspect_at = NULL
  FROM jobforge_fleet f
  WHERE w.id = $1 AND w.state IN ('live', 'draining') AND w.lease_expires_at > jobforge_now() AND f.one
  RETURNING CASE WHEN w.lease_scales THEN greatest(w.lease_ms, f.least_lease_ms) ELSE w.lease_ms END AS lease_ms
)
SELECT f.timeline, f.timeline <> jobforge_timeline(), (SELECT lease_ms FROM renewed)
FROM jobforge_fleet f
WHERE f.one
