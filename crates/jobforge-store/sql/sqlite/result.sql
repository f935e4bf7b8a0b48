-- A job's result.
-- ?1 job id
-- Index: primary key.
SELECT result
FROM jobforge_job_results
WHERE job_id = ?1
  AND result IS NOT NULL;
