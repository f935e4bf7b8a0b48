-- Ids of the jobs that failed, died or were canceled, newest first.
-- ?1 which of these, ?2 before this id, or NULL, ?3 at most so many
-- Index: idx_jobforge_jobs_fallen, backwards.
SELECT id
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_fallen
WHERE (status = 'failed' OR status = 'dead' OR status = 'canceled')
  AND status = ?1
  AND id < coalesce(?2, '~')
ORDER BY id DESC
LIMIT ?3;
