-- Notes how many jobs the process of dead workers was running.
--
-- $1 workers, $2 jobs. Uses the primary key.
UPDATE jobforge_workers
SET died_with = $2
WHERE id = ANY ($1)
