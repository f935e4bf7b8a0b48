-- Ids of the jobs with an idempotency key, of any tenant and type, newest first.
-- ?1 key, ?2 before this id, or NULL, ?3 at most so many
-- Index: idx_jobforge_jobs_idempotency.
SELECT id
FROM jobforge_jobs
WHERE idempotency_key = ?1
  AND +id < coalesce(?2, '~')
ORDER BY +id DESC
LIMIT ?3;
