-- Makes waiting jobs claimable whose time has come, the longest overdue first, and names their queues.
-- ?1 now, ?2 at most so many
-- Index: idx_jobforge_jobs_scheduled.
UPDATE jobforge_jobs
SET due = 1
WHERE rowid IN (
    SELECT rowid
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_scheduled
    WHERE status = 'queued'
      AND due = 0
      AND run_at <= ?1
    ORDER BY run_at
    LIMIT ?2
)
RETURNING queue;
