-- Ids of running jobs.
-- ?1 at most so many
-- Index: idx_jobforge_jobs_running.
SELECT id
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_running
WHERE status = 'running'
LIMIT ?1;
