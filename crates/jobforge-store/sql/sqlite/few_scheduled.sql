-- Ids of queued jobs whose time has not come.
-- ?1 now, ?2 at most so many
-- Index: idx_jobforge_jobs_scheduled.
SELECT id
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_scheduled
WHERE status = 'queued'
  AND due = 0
  AND run_at > ?1
LIMIT ?2;
