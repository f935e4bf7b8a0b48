-- The kept log lines of a job, oldest attempt first.
-- ?1 job id
-- Index: primary key.
SELECT
    attempt_no,
    lease,
    tail,
    updated_at
FROM jobforge_job_logs
WHERE job_id = ?1
ORDER BY lease;
