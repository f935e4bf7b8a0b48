-- Reads workers by id.
--
-- $1 ids. Uses the primary key.
SELECT *
FROM jobforge_workers
WHERE id = ANY ($1)
