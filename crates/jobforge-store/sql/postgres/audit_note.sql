-- Writes entries of one deed-doer.
--
-- $1 by whom, $2 actions, $3 targets, $4 tenants, $5 before, $6 after.
SELECT count(jobforge_audit_add($1, action, target, tenant_id, before, after))
FROM unnest($2, $3, $4, $5, $6) AS d (action, target, tenant_id, before, after)
