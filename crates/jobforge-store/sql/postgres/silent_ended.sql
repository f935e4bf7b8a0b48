-- Reads successes without an attempt row that fell silent and went on, the last ended first.
--
-- $1 since when, $2 limit. Uses idx_jobforge_jobs_silent.
SELECT j.id, j.tenant_id, j.type, j.queue, j.attempts, j.lease, j.last_worker, j.status, NULL::jsonb, j.finished_at,
       j.heartbeat_at, 0, j.beats, j.beat_interval_ms, j.silent_gaps
FROM jobforge_jobs j
WHERE j.finished_at >= $1
  AND j.silent_gaps IS NOT NULL
  AND j.status = 'succeeded'
  AND NOT EXISTS (SELECT FROM jobforge_job_attempts a WHERE a.job_id = j.id AND a.lease = j.lease)
ORDER BY j.finished_at DESC
LIMIT $2
