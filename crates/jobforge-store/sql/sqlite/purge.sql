-- Deletes jobs that ended in one status before a moment, the oldest first.
-- ?1 status, ?2 finished before, ?3 at most so many
-- Index: idx_jobforge_jobs_finished.
DELETE FROM jobforge_jobs
WHERE rowid IN (
    SELECT rowid
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_finished
    WHERE status = ?1
      AND finished_at IS NOT NULL
      AND finished_at < ?2
    ORDER BY finished_at
    LIMIT ?3
);
