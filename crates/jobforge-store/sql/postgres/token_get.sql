-- One token, and the time.
--
-- $1 id. Uses the primary key.
SELECT id, name, scopes, tenant_id, hash, created_at, created_by, expires_at, revoked_at, last_used_at, queues, jobforge_now() AS as_of
FROM jobforge_tokens
WHERE id = $1
