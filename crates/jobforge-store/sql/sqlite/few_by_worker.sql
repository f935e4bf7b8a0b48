-- Ids of the jobs that a worker holds.
-- ?1 worker, ?2 at most so many
-- Index: idx_jobforge_jobs_running.
SELECT id
FROM jobforge_jobs
WHERE status = 'running'
  AND locked_by = ?1
LIMIT ?2;
