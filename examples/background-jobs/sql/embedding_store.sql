-- Stores vectors, unless the title has changed since it was read: then the next run makes another.
--
-- $1 a JSON array of {id, embedding, embedded}. Uses the primary key.
WITH batch AS (
  SELECT c.id, e.embedding, e.embedded
  FROM jsonb_to_recordset($1::jsonb) AS e (id bigint, embedding real[], embedded text)
  JOIN app.clips c ON c.id = e.id AND md5(c.title) = e.embedded
  ORDER BY c.id
  FOR NO KEY UPDATE OF c
)
UPDATE app.clips c
SET embedding = b.embedding, embedded = b.embedded
FROM batch b
WHERE c.id = b.id
