-- Running jobs by type and tenant, when the first of each began, and how long one may take at most.
-- ?1 look at most at so many
-- Index: idx_jobforge_jobs_running.
SELECT
    type,
    tenant_id,
    count(*),
    min(started_at),
    max(deadline_at - started_at)
FROM (
    SELECT
        type,
        tenant_id,
        started_at,
        deadline_at
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_running
    WHERE status = 'running'
    LIMIT ?1
)
GROUP BY type, tenant_id;
