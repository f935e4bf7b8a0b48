-- Running jobs by tenant, type and queue.
-- ?1 look at most at so many
-- Index: idx_jobforge_jobs_running.
SELECT
    tenant_id,
    type,
    queue,
    count(*)
FROM (
    SELECT
        tenant_id,
        type,
        queue
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_running
    WHERE status = 'running'
    LIMIT ?1
)
GROUP BY tenant_id, type, queue;
