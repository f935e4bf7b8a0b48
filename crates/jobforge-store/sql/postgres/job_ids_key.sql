-- Ids of the jobs with an idempotency key, of any tenant and type, newest first.
--
-- $1 key, $2 only before this id or null, $3 limit. Uses idx_jobforge_jobs_idempotency.
SELECT id
FROM jobforge_jobs
WHERE idempotency_key = $1 AND (id < $2::uuid OR $2 IS NULL)
ORDER BY id DESC
LIMIT $3
