-- Keeps a new token.
--
-- $1 id, $2 name, $3 scopes, $4 tenant, $5 hash, $6 when it expires, $7 by whom it is made, $8 queues or null.
INSERT INTO jobforge_tokens (id, name, scopes, tenant_id, hash, created_at, created_by, expires_at, queues)
VALUES ($1, $2, $3, $4, $5, jobforge_now(), $7 ->> 'actor', $6, $8)
RETURNING jobforge_audit_add($7, 'token.create', id, tenant_id, NULL,
  jsonb_build_object('name', name, 'scopes', scopes, 'queues', queues, 'expires_at', expires_at)::text)
