-- An active worker: whether it has no process that could be told, and whether it was told to restart before.
-- ?1 worker, ?2 now
-- Index: primary key.
SELECT
    pid = 0,
    restart_at IS NOT NULL
FROM jobforge_workers
WHERE id = ?1
  AND state IN ('live', 'draining')
  AND lease_expires_at > ?2;
