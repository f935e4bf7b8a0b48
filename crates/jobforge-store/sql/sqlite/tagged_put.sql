-- Puts a job where lists by tag find it.
-- ?1 tag, ?2 id
INSERT INTO jobforge_tagged (tag, id)
VALUES (?1, ?2)
ON CONFLICT DO NOTHING;
