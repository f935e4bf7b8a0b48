-- Takes a token back; returns a row if it was not yet.
--
-- $1 id, $2 by whom. Uses the primary key.
UPDATE jobforge_tokens
SET revoked_at = jobforge_now()
WHERE id = $1 AND revoked_at IS NULL
RETURNING jobforge_audit_add($2, 'token.revoke', id, tenant_id, jsonb_build_object('name', name)::text, NULL)
