-- Forgets workers that ended long ago and hold nothing.
-- ?1 ended before, ?2 at most so many
-- Index: idx_jobforge_jobs_running tells whether one still holds a job.
DELETE FROM jobforge_workers
WHERE rowid IN (
    SELECT rowid
    FROM jobforge_workers
    WHERE ended_at < ?1
      AND NOT EXISTS (
          SELECT 1
          FROM jobforge_jobs
          WHERE jobforge_jobs.status = 'running'
            AND jobforge_jobs.locked_by = jobforge_workers.id
      )
    LIMIT ?2
);
