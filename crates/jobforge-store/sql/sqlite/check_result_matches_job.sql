-- Jobs that name another result than the one they have, or name one and have none.
-- ?1 at most so many
SELECT job.id
FROM jobforge_jobs AS job
LEFT JOIN jobforge_job_results AS result ON result.job_id = job.id
WHERE job.result_id IS NOT result.id
LIMIT ?1;
