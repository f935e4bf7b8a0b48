-- The next clips of the last week whose title has no vector yet, or another one than when it was made.
--
-- $1 behind this id, $2 up to this id, $3 how many, $4 as of this moment. Uses the primary key.
SELECT id
FROM app.clips
WHERE id > $1 AND id <= $2
  AND created_at > $4::timestamptz - interval '7 days'
  AND embedded IS DISTINCT FROM md5(title)
ORDER BY id
LIMIT $3
