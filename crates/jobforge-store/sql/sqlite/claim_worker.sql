-- Whether a worker may claim: live, with a lease that has not run out.
-- ?1 worker, ?2 now
-- Index: primary key.
SELECT 1
FROM jobforge_workers
WHERE id = ?1
  AND state = 'live'
  AND lease_expires_at > ?2;
