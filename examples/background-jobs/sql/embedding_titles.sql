-- The titles of clips.
--
-- $1 ids. Uses the primary key.
SELECT id, title, md5(title) AS embedded
FROM app.clips
WHERE id = ANY ($1)
ORDER BY id
