-- Renews a worker's lease unless it has run out or was taken. Always one row: the history of the server in which leases were
-- last given out, whether it is another one by now, how long the lease lasts, null if it was not renewed, and whether the
-- worker was told to restart.
--
-- A lease that was given stays until it is over, also when the worker asks for a shorter one from now on: its answer may be
-- lost, and the worker may act until then. After a step of the clock it lasts no longer than it was given for.
--
-- $1 id, $2 whether the worker is draining, $3 the lease it wishes in ms and $4 whether that may grow, null for those that
-- it has. Uses primary keys.
WITH wished AS (
  SELECT w.id,
         jobforge_now() AS tick,
         coalesce($3::bigint, w.lease_ms) AS lease_ms,
         coalesce($4, w.lease_scales) AS lease_scales,
         greatest(coalesce($3::bigint, w.lease_ms), CASE WHEN coalesce($4, w.lease_scales) THEN f.least_lease_ms ELSE 0 END) AS lasts_ms,
         least(ceil(extract(epoch FROM w.lease_expires_at - jobforge_now()) * 1000)::bigint, w.granted_ms) AS left_ms
  FROM jobforge_workers w
  CROSS JOIN jobforge_fleet f
  WHERE w.id = $1 AND f.one
  FOR UPDATE OF w
), renewed AS (
  UPDATE jobforge_workers w
  SET last_heartbeat_at = n.tick,
      lease_ms = n.lease_ms,
      lease_scales = n.lease_scales,
      granted_ms = greatest(n.lasts_ms, n.left_ms),
      lease_expires_at = n.tick + interval '1 ms' * greatest(n.lasts_ms, n.left_ms),
      state = CASE WHEN $2 THEN 'draining' ELSE w.state END,
      stopped_at = NULL,
      suspect_at = NULL
  FROM wished n
  WHERE w.id = n.id AND w.state IN ('live', 'draining') AND w.lease_expires_at > n.tick
  RETURNING n.lasts_ms, w.restart_at
)
SELECT f.timeline, f.timeline <> jobforge_timeline(), (SELECT lasts_ms FROM renewed),
  coalesce((SELECT restart_at IS NOT NULL FROM renewed), false)
FROM jobforge_fleet f
WHERE f.one
