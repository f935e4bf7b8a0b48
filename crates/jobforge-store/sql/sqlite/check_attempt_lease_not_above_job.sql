-- Recorded attempts under a lease that their job has not yet given.
-- ?1 at most so many
SELECT attempt.job_id
FROM jobforge_job_attempts AS attempt
JOIN jobforge_jobs AS job ON job.id = attempt.job_id
WHERE attempt.lease > job.lease
LIMIT ?1;
