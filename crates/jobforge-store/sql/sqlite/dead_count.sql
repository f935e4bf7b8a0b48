-- How many jobs run under a worker.
-- ?1 worker
-- Index: idx_jobforge_jobs_running alone.
SELECT count(*)
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_running
WHERE status = 'running'
  AND locked_by = ?1;
