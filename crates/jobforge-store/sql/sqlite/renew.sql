-- Renews a worker's lease, unless it has run out or was taken.
-- ?1 worker, ?2 now, ?3 whether it drains
-- Index: primary key.
UPDATE jobforge_workers
SET
    last_heartbeat_at = ?2,
    lease_expires_at = ?2 + lease_ms * 1000,
    state = CASE WHEN ?3 THEN 'draining' ELSE state END,
    stopped_at = NULL,
    suspect_at = NULL
WHERE id = ?1
  AND state IN ('live', 'draining')
  AND lease_expires_at > ?2;
