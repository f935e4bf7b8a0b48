-- Reads the result of a job.
--
-- $1 job. Uses the unique index on job_id.
SELECT result
FROM jobforge_job_results
WHERE job_id = $1
