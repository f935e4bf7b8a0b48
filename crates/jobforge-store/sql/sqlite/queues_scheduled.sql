-- Waiting jobs per queue: those whose time has come already, the oldest of them, and those that must wait.
-- ?1 now, ?2 look at most at so many, the first due first
-- Index: idx_jobforge_jobs_scheduled alone.
SELECT
    queue,
    count(*) FILTER (WHERE run_at <= ?1),
    min(run_at) FILTER (WHERE run_at <= ?1),
    count(*) FILTER (WHERE run_at > ?1)
FROM (
    SELECT
        queue,
        run_at
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_scheduled
    WHERE status = 'queued'
      AND due = 0
    ORDER BY run_at
    LIMIT ?2
)
GROUP BY queue;
