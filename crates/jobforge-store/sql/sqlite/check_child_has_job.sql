-- Results, attempts and logs of jobs that do not exist.
-- ?1 at most so many
SELECT job_id
FROM (
    SELECT job_id FROM jobforge_job_results
    UNION
    SELECT job_id FROM jobforge_job_attempts
    UNION
    SELECT job_id FROM jobforge_job_logs
)
WHERE job_id NOT IN (SELECT id FROM jobforge_jobs)
LIMIT ?1;
