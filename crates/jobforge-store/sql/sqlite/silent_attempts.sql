-- Attempts that fell silent and went on, or were taken for hung, the last ended first.
-- ?1 since when, ?2 limit
-- Index: idx_jobforge_job_attempts_silent.
SELECT
    job.id,
    job.tenant_id,
    job.type,
    job.queue,
    attempt.attempt_no,
    attempt.lease,
    attempt.worker_id,
    attempt.outcome,
    attempt.error,
    attempt.finished_at,
    attempt.heartbeat_at,
    attempt.refused,
    attempt.beats,
    attempt.beat_interval_ms,
    attempt.silent_gaps
FROM jobforge_job_attempts AS attempt INDEXED BY idx_jobforge_job_attempts_silent
JOIN jobforge_jobs AS job ON job.id = attempt.job_id
WHERE attempt.finished_at >= ?1
  AND (attempt.silent_gaps IS NOT NULL OR instr(attempt.error, '"heartbeat_late"'))
ORDER BY attempt.finished_at DESC
LIMIT ?2;
