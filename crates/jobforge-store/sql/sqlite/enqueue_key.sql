-- The job that has an idempotency key.
-- ?1 tenant, ?2 type, ?3 key
-- Index: idx_jobforge_jobs_idempotency.
SELECT
    id,
    payload
FROM jobforge_jobs
WHERE idempotency_key = ?3
  AND type = ?2
  AND tenant_id = ?1;
