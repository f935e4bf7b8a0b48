-- Reads attempts that fell silent and went on, or were taken for hung, the last ended first.
--
-- $1 since when, $2 limit. Uses idx_jobforge_job_attempts_silent.
SELECT j.id, j.tenant_id, j.type, j.queue, a.attempt_no, a.lease, a.worker_id, a.outcome, a.error, a.finished_at, a.heartbeat_at,
       a.refused, a.beats, a.beat_interval_ms, a.silent_gaps
FROM jobforge_job_attempts a
JOIN jobforge_jobs j ON j.id = a.job_id
WHERE a.finished_at >= $1
  AND (a.silent_gaps IS NOT NULL OR (a.error ->> 'kind') = 'heartbeat_late')
ORDER BY a.finished_at DESC
LIMIT $2
