-- Reads one job.
--
-- $1 id. Uses the primary key.
SELECT *
FROM jobforge_jobs
WHERE id = $1
