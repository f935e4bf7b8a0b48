-- Running jobs per queue.
-- ?1 look at most at so many
-- Index: idx_jobforge_jobs_running alone.
SELECT
    queue,
    count(*)
FROM (
    SELECT queue
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_running
    WHERE status = 'running'
    LIMIT ?1
)
GROUP BY queue;
