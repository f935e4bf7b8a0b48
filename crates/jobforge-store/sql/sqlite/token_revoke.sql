-- Takes a token back, unless it was already; gives its name and tenant.
-- ?1 id, ?2 now
-- Index: primary key.
UPDATE jobforge_tokens
SET revoked_at = ?2
WHERE id = ?1
  AND revoked_at IS NULL
RETURNING
    name,
    tenant_id;
