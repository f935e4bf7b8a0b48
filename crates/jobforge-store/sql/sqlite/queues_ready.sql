-- Every queue that has claimable jobs, with how many there are and since when the oldest waits.
-- ?1 now, ?2 the highest count
-- Index: idx_jobforge_jobs_claim, leaping from queue to queue and from priority to priority instead of reading it all.
WITH RECURSIVE
lane (queue, alone, priority) AS (
    SELECT * FROM (
        SELECT queue, alone, priority
        FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
        WHERE status = 'queued' AND due = 1
        ORDER BY queue, alone, priority
        LIMIT 1
    )
    UNION ALL
    SELECT
        next.queue,
        next.alone,
        next.priority
    FROM lane
    JOIN jobforge_jobs AS next ON next.rowid = coalesce(
        (
            SELECT rowid
            FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
            WHERE status = 'queued' AND due = 1
              AND queue = lane.queue AND alone = lane.alone AND priority > lane.priority
            ORDER BY priority
            LIMIT 1
        ),
        (
            SELECT rowid
            FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
            WHERE status = 'queued' AND due = 1
              AND queue = lane.queue AND alone > lane.alone
            ORDER BY alone, priority
            LIMIT 1
        ),
        (
            SELECT rowid
            FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
            WHERE status = 'queued' AND due = 1
              AND queue > lane.queue
            ORDER BY queue, alone, priority
            LIMIT 1
        )
    )
),
oldest (queue, run_at) AS (
    SELECT
        queue,
        min((
            SELECT run_at
            FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
            WHERE status = 'queued' AND due = 1
              AND queue = lane.queue AND alone = lane.alone AND priority = lane.priority
            ORDER BY run_at
            LIMIT 1
        ))
    FROM lane
    GROUP BY queue
)
SELECT
    queue,
    (
        SELECT count(*)
        FROM (
            SELECT 1
            FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
            WHERE status = 'queued' AND due = 1
              AND queue = oldest.queue
              AND run_at <= ?1
            LIMIT ?2
        )
    ),
    run_at
FROM oldest;
