-- Drops a job's result.
-- ?1 job id
-- Index: primary key.
DELETE FROM jobforge_job_results
WHERE job_id = ?1;
