-- Scores clips: a hundred views are worth a vote, and every hour of age makes both count less. Returns what changed.
--
-- $1 ids, $2 as of this moment. Uses the primary key.
WITH batch AS (
  -- In one order everywhere, so that jobs that run side by side wait for each other instead of locking each other out.
  SELECT id, votes + views / 100.0::double precision AS weight,
         greatest(extract(epoch FROM $2::timestamptz - created_at)::double precision / 3600, 0) AS age_h
  FROM app.clips
  WHERE id = ANY ($1)
  ORDER BY id
  FOR NO KEY UPDATE
), scored AS (
  SELECT id, CASE WHEN age_h >= 7 * 24 THEN 0 ELSE weight / power(age_h + 2, 1.8::double precision) END AS score
  FROM batch
)
UPDATE app.clips c
SET hot_score = s.score
FROM scored s
WHERE c.id = s.id AND c.hot_score <> s.score
RETURNING c.id
