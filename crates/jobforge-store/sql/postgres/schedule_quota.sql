-- How many schedules a tenant has, counted up to a bound.
--
-- $1 tenant, $2 the bound. Uses idx_jobforge_schedules_tenant.
SELECT count(*)
FROM (SELECT FROM jobforge_schedules WHERE tenant_id = $1 LIMIT $2) s
