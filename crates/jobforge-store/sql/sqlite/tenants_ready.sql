-- Jobs that may be claimed now by tenant, type and queue, and since when the oldest waits.
-- ?1 now, ?2 look at most at so many that are marked as due, and at so many that are not marked yet
-- Index: idx_jobforge_jobs_claim alone, and idx_jobforge_jobs_scheduled.
SELECT
    tenant_id,
    type,
    queue,
    count(*),
    min(run_at)
FROM (
    SELECT * FROM (
        SELECT
            tenant_id,
            type,
            queue,
            run_at
        FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
        WHERE status = 'queued' AND due = 1
        LIMIT ?2
    )
    UNION ALL
    SELECT * FROM (
        SELECT
            tenant_id,
            type,
            queue,
            run_at
        FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_scheduled
        WHERE status = 'queued' AND due = 0 AND run_at <= ?1
        ORDER BY run_at
        LIMIT ?2
    )
)
GROUP BY tenant_id, type, queue;
