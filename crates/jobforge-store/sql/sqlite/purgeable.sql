-- Counts jobs that ended in one status before a moment.
-- ?1 status, ?2 finished before
-- Index: idx_jobforge_jobs_finished.
SELECT count(*)
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_finished
WHERE status = ?1
  AND finished_at IS NOT NULL
  AND finished_at < ?2;
