-- Tenants that ever had a job, whose name begins like this.
-- ?1 the beginning, ?2 at most so many
-- Index: the unique one of jobforge_kinds, which has a row for each kind and none for a job.
SELECT DISTINCT tenant_id
FROM jobforge_kinds
WHERE tenant_id >= ?1
  AND substr(tenant_id, 1, length(?1)) = ?1
ORDER BY tenant_id
LIMIT ?2;
