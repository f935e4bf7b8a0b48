-- The kind of a tenant, type and queue.
-- ?1 tenant, ?2 type, ?3 queue
-- Index: the unique one of jobforge_kinds.
SELECT kind
FROM jobforge_kinds
WHERE tenant_id = ?1
  AND type = ?2
  AND queue = ?3;
