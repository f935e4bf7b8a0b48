-- Renews a worker's lease unless it has run out or was taken; returns a row if it was renewed.
--
-- $1 id, $2 whether the worker is draining. Uses the primary key.
UPDATE jobforge_workers
SET last_heartbeat_at = jobforge_now(),
    lease_expires_at = jobforge_now() + lease_ms * interval '1 ms',
    state = CASE WHEN $2 THEN 'draining' ELSE state END,
    stopped_at = NULL,
    suspect_at = NULL
WHERE id = $1 AND state IN ('live', 'draining') AND lease_expires_at > jobforge_now()
RETURNING 1
