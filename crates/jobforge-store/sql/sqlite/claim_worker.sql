-- Whether a worker may claim: live, not told to restart, with a lease that has not run out.
-- ?1 worker, ?2 now
-- Index: primary key.
SELECT 1
FROM jobforge_workers
WHERE id = ?1
  AND state = 'live'
  AND restart_at IS NULL
  AND lease_expires_at > ?2;
