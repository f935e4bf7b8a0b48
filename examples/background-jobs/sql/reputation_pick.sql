-- The next users.
--
-- $1 behind this id, $2 up to this id, $3 how many, $4 is not looked at. Uses the primary key.
SELECT id
FROM app.users
WHERE id > $1 AND id <= $2 AND $4::timestamptz IS NOT NULL
ORDER BY id
LIMIT $3
