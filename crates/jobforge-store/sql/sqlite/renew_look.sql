-- The lease of a worker that may renew it: in ms as it was wished, whether that may grow, and the least that the fleet needs.
-- ?1 worker, ?2 now
-- Index: primary key.
SELECT
    lease_ms,
    lease_scales,
    (SELECT least_lease_ms FROM jobforge_fleet WHERE one = 1)
FROM jobforge_workers
WHERE id = ?1
  AND state IN ('live', 'draining')
  AND lease_expires_at > ?2;
