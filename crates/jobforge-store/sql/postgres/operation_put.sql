-- Begins an operation.
--
-- $1 id, $2 action, $3 filter, $4 whether it only counts, $5 by whom.
INSERT INTO jobforge_operations (id, action, filter, dry_run, state, by, created_at, updated_at)
VALUES ($1, $2, $3, $4, 'running', $5, jobforge_now(), jobforge_now())
RETURNING jobforge_audit_add($5, 'operation.start', id::text, filter ->> 'tenant_id', NULL,
  jsonb_build_object('action', action, 'filter', filter, 'dry_run', dry_run)::text)
