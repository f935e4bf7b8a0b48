-- Successes without an attempt row that fell silent and went on, the last ended first.
-- ?1 since when, ?2 limit
-- Index: idx_jobforge_jobs_silent.
SELECT
    id,
    tenant_id,
    type,
    queue,
    attempts,
    lease,
    last_worker,
    status,
    NULL,
    finished_at,
    heartbeat_at,
    0,
    beats,
    beat_interval_ms,
    silent_gaps
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_silent
WHERE finished_at >= ?1
  AND silent_gaps IS NOT NULL
  AND status = 'succeeded'
  AND NOT EXISTS (
      SELECT 1
      FROM jobforge_job_attempts
      WHERE jobforge_job_attempts.job_id = jobforge_jobs.id AND jobforge_job_attempts.lease = jobforge_jobs.lease
  )
ORDER BY finished_at DESC
LIMIT ?2;
