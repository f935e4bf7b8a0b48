-- What the records of an attempt that has just ended need from its job.
-- ?1 id
-- Index: primary key.
SELECT
    tenant_id,
    queue,
    attempts,
    started_at
FROM jobforge_jobs
WHERE id = ?1;
