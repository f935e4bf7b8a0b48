-- Jobs that wait for another attempt, by queue.
-- ?1 now, ?2 look at most at so many, the first due first
-- Index: idx_jobforge_jobs_scheduled.
SELECT
    queue,
    count(*)
FROM (
    SELECT
        queue,
        queued_because,
        run_at
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_scheduled
    WHERE status = 'queued' AND due = 0
    ORDER BY run_at
    LIMIT ?2
)
WHERE run_at > ?1
  AND (queued_because = 'retry' OR queued_because = 'rescue')
GROUP BY queue;
