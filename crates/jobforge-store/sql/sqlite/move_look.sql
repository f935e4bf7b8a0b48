-- What an operator's move must know of a job.
-- ?1 id
-- Index: primary key.
SELECT
    status,
    tenant_id,
    queue,
    attempts,
    lease,
    locked_by,
    started_at,
    type,
    items_processed,
    items_failed,
    items_skipped,
    CASE WHEN created_by GLOB 'schedule:*' THEN substr(created_by, 10) ELSE type END
FROM jobforge_jobs
WHERE id = ?1;
