-- Ids of jobs that ended in one status.
-- ?1 status, ?2 at most so many
-- Index: idx_jobforge_jobs_finished.
SELECT id
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_finished
WHERE status = ?1
  AND finished_at IS NOT NULL
LIMIT ?2;
