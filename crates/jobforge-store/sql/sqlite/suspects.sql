-- Running jobs that may be in trouble, the longest held first; the core decides which are.
-- ?1 now, ?2 now less the grace after a time-out, ?3 at most so many
-- Index: idx_jobforge_jobs_running holds no more rows than workers have slots.
SELECT jobforge_jobs.*
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_running
LEFT JOIN jobforge_workers ON jobforge_workers.id = jobforge_jobs.locked_by
WHERE jobforge_jobs.status = 'running'
  AND (
      jobforge_workers.id IS NULL
      OR jobforge_workers.state NOT IN ('live', 'draining')
      OR jobforge_workers.lease_expires_at < ?1
      OR jobforge_jobs.heartbeat_due_at < ?1
      OR jobforge_jobs.deadline_at < ?2
      OR max(coalesce(jobforge_jobs.progress_at, 0), jobforge_jobs.started_at) + jobforge_jobs.progress_limit_ms * 1000 < ?2
  )
ORDER BY jobforge_jobs.locked_at, jobforge_jobs.id
LIMIT ?3;
