-- Ends an operation; returns a row if it was going on.
--
-- $1 id, $2 by whom. Uses the primary key.
UPDATE jobforge_operations
SET state = 'canceled',
    updated_at = jobforge_now(),
    finished_at = jobforge_now()
WHERE id = $1 AND state = 'running'
RETURNING jobforge_audit_add($2, 'operation.cancel', id::text, filter ->> 'tenant_id', NULL,
  jsonb_build_object('done', done)::text)
