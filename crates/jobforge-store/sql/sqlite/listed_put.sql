-- Puts a job where lists by tenant, type and queue find it.
-- ?1 kind, ?2 id
INSERT INTO jobforge_listed (kind, id)
VALUES (?1, ?2);
