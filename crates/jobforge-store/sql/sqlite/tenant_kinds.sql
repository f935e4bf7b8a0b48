-- The types and queues of a tenant's jobs.
-- ?1 tenant, ?2 at most so many
-- Index: the unique one of jobforge_kinds.
SELECT
    type,
    queue
FROM jobforge_kinds
WHERE tenant_id = ?1
ORDER BY type, queue
LIMIT ?2;
