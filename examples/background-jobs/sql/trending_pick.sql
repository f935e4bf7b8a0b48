-- The next clips whose trending score moves: those seen within two days, and those that no longer were.
--
-- $1 behind this id, $2 up to this id, $3 how many, $4 as of this moment. Uses the primary keys.
SELECT c.id
FROM app.clips c
WHERE c.id > $1 AND c.id <= $2
  AND (
    c.trending_score <> 0
    OR EXISTS (SELECT FROM app.clip_views v WHERE v.clip_id = c.id AND v.hour > $4::timestamptz - interval '48 hours')
  )
ORDER BY c.id
LIMIT $3
