-- One token.
-- ?1 id
-- Index: primary key.
SELECT
    id,
    name,
    scopes,
    tenant_id,
    hash,
    created_at,
    created_by,
    expires_at,
    revoked_at,
    last_used_at,
    queues
FROM jobforge_tokens
WHERE id = ?1;
