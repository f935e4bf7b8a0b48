-- Keeps a new token.
-- ?1 id, ?2 name, ?3 scopes, ?4 tenant, ?5 hash, ?6 now, ?7 by whom, ?8 when it expires, ?9 queues
INSERT INTO jobforge_tokens (id, name, scopes, tenant_id, hash, created_at, created_by, expires_at, queues)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);
