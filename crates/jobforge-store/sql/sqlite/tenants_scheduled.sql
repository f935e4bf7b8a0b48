-- Jobs that wait for their time by tenant, type and queue, and how many of them for another attempt.
-- ?1 now, ?2 look at most at so many, the first due first
-- Index: idx_jobforge_jobs_scheduled.
SELECT
    tenant_id,
    type,
    queue,
    count(*),
    count(*) FILTER (WHERE queued_because IN ('retry', 'rescue'))
FROM (
    SELECT
        tenant_id,
        type,
        queue,
        queued_because
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_scheduled
    WHERE status = 'queued' AND due = 0 AND run_at > ?1
    ORDER BY run_at
    LIMIT ?2
)
GROUP BY tenant_id, type, queue;
