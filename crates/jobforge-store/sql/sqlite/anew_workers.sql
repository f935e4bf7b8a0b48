-- Ends every worker that held a lease or a job where the copy was made.
-- ?1 now, ?2 why in words, ?3 the certificate that goes with it
-- Scans the workers, of which there are few; idx_jobforge_jobs_running tells whether one holds a job.
UPDATE jobforge_workers
SET
    state = 'dead',
    ended_at = ?1,
    end_reason = ?2,
    death = ?3,
    died_with = NULL
WHERE state IN ('live', 'draining')
   OR EXISTS (
       SELECT 1
       FROM jobforge_jobs
       WHERE jobforge_jobs.status = 'running'
         AND jobforge_jobs.locked_by = jobforge_workers.id
   )
RETURNING id;
