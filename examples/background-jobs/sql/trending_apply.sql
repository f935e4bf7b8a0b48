-- Scores clips by the views of the last two days, of which those of six hours ago count half as much as those of now.
-- Returns what changed.
--
-- $1 ids, $2 as of this moment. Uses the primary keys.
WITH batch AS (
  SELECT id
  FROM app.clips
  WHERE id = ANY ($1)
  ORDER BY id
  FOR NO KEY UPDATE
), scored AS (
  SELECT b.id, coalesce(sum(v.views * power(0.5::double precision, extract(epoch FROM $2::timestamptz - v.hour)::double precision / 21600)), 0) AS score
  FROM batch b
  LEFT JOIN app.clip_views v ON v.clip_id = b.id AND v.hour > $2::timestamptz - interval '48 hours'
  GROUP BY b.id
)
UPDATE app.clips c
SET trending_score = s.score
FROM scored s
WHERE c.id = s.id AND c.trending_score <> s.score
RETURNING c.id
