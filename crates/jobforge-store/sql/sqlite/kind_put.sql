-- Makes a kind.
-- ?1 tenant, ?2 type, ?3 queue
INSERT INTO jobforge_kinds (tenant_id, type, queue)
VALUES (?1, ?2, ?3)
RETURNING kind;
