-- Jobs that may run now, by type.
-- ?1 now, ?2 look at most at so many
-- Index: idx_jobforge_jobs_claim and idx_jobforge_jobs_scheduled.
SELECT
    type,
    count(*)
FROM (
    SELECT * FROM (
        SELECT type
        FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
        WHERE status = 'queued' AND due = 1
        LIMIT ?2
    )
    UNION ALL
    SELECT * FROM (
        SELECT type
        FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_scheduled
        WHERE status = 'queued' AND due = 0 AND run_at <= ?1
        LIMIT ?2
    )
)
GROUP BY type;
