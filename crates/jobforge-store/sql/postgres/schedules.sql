-- Schedules by name.
--
-- $1 only of this tenant, $2 only those behind this name, $3 how many. Uses the primary key or idx_jobforge_schedules_tenant.
SELECT *
FROM jobforge_schedules
WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR name > $2)
ORDER BY name
LIMIT $3
