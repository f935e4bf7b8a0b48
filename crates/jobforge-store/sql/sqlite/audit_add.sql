-- Writes one entry.
-- ?1 at, ?2 actor, ?3 reason, ?4 request id, ?5 address, ?6 action, ?7 target, ?8 tenant, ?9 before, ?10 after
INSERT INTO jobforge_audit (at, actor, reason, request_id, address, action, target, tenant_id, before, after)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10);
