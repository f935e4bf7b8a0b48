-- Gives entries their place in the chain.
--
-- $1 numbers, $2 places, $3 hashes. Uses the primary key.
UPDATE jobforge_audit a
SET place = s.place,
    hash = s.hash
FROM unnest($1, $2, $3) AS s (id, place, hash)
WHERE a.id = s.id AND a.place IS NULL
