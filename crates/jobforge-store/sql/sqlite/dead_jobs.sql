-- dead_jobs
-- Running jobs of a worker, the longest held first.
-- ?1 worker, ?2 at most so many
-- Index: idx_jobforge_jobs_running.
SELECT jobforge_jobs.*
FROM jobforge_jobs
WHERE status = 'running'
  AND locked_by = ?1
ORDER BY locked_at, id
LIMIT ?2;
