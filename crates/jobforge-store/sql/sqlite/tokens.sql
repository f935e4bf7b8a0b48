-- Every token, newest first; those that ended long ago last.
-- ?1 limit
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
ORDER BY (revoked_at IS NOT NULL), created_at DESC, id
LIMIT ?1;
