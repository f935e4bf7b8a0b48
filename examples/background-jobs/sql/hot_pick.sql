-- The next clips whose hot score moves: young ones, and those that have just become too old for one.
--
-- $1 behind this id, $2 up to this id, $3 how many, $4 as of this moment. Uses the primary key.
SELECT id
FROM app.clips
WHERE id > $1 AND id <= $2
  AND (created_at > $4::timestamptz - interval '7 days' OR hot_score <> 0)
ORDER BY id
LIMIT $3
