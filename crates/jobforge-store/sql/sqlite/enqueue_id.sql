-- The job that has an id, as far as a repeated enqueue must agree with it.
-- ?1 id
-- Index: primary key.
SELECT
    tenant_id,
    type,
    payload,
    idempotency_key
FROM jobforge_jobs
WHERE id = ?1;
