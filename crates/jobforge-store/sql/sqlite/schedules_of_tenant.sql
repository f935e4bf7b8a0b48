-- Schedules of a tenant by name.
-- ?1 only behind this name, ?2 how many, ?3 tenant
-- Index: idx_jobforge_schedules_tenant.
SELECT *
FROM jobforge_schedules
WHERE tenant_id = ?3
  AND name > ?1
ORDER BY name
LIMIT ?2;
