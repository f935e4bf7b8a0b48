-- The types and queues of a tenant's jobs.
--
-- $1 tenant, $2 at most so many. Uses idx_jobforge_kinds.
SELECT DISTINCT type, queue
FROM jobforge_kinds
WHERE tenant_id = $1
ORDER BY type, queue
LIMIT $2
