-- Ids of the jobs that a worker holds, newest first.
-- ?1 worker, ?2 before this id, or NULL, ?3 at most so many
-- Index: idx_jobforge_jobs_running.
SELECT id
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_running
WHERE status = 'running'
  AND locked_by = ?1
  AND id < coalesce(?2, '~')
ORDER BY id DESC
LIMIT ?3;
