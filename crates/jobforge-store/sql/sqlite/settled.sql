-- What is kept and counted of an attempt that has just ended. The fifth column is the name under which it is counted.
-- ?1 id
-- Index: primary key.
SELECT
    tenant_id,
    queue,
    attempts,
    started_at,
    CASE WHEN created_by GLOB 'schedule:*' THEN substr(created_by, 10) ELSE type END,
    items_processed,
    items_failed,
    items_skipped
FROM jobforge_jobs
WHERE id = ?1;
