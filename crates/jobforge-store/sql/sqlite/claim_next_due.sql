-- When the next waiting job of any queue becomes due.
-- Index: the first entry of idx_jobforge_jobs_scheduled.
SELECT min(run_at)
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_scheduled
WHERE status = 'queued'
  AND due = 0;
