-- Finds running jobs that something may be wrong with: worker unknown, ended or silent, heartbeat late, a time-out passed
-- for so long that their own worker should have seen to it.
--
-- $1 limit, $2 that grace in ms. Reads the running jobs through idx_jobforge_jobs_running; the core decides what is really wrong.
SELECT j.*, jobforge_now() AS as_of
FROM jobforge_jobs j
LEFT JOIN jobforge_workers w ON w.id = j.locked_by
WHERE j.status = 'running'
  AND j.locked_by IS NOT NULL
  AND (
    w.id IS NULL
    OR w.state NOT IN ('live', 'draining')
    OR w.lease_expires_at < jobforge_now()
    OR j.heartbeat_due_at < jobforge_now()
    OR j.deadline_at < jobforge_now() - $2::bigint * interval '1 ms'
    OR greatest(j.progress_at, j.started_at) < jobforge_now() - ($2 + j.progress_limit_ms) * interval '1 ms'
  )
ORDER BY j.locked_at
LIMIT $1
