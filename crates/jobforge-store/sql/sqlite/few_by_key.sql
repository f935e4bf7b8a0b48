-- Ids of the jobs with an idempotency key, of any tenant and type.
-- ?1 key, ?2 at most so many
-- Index: idx_jobforge_jobs_idempotency.
SELECT id
FROM jobforge_jobs
WHERE idempotency_key = ?1
LIMIT ?2;
