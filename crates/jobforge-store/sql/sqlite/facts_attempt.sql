-- The last recorded attempt of a job.
-- ?1 job id
-- Index: primary key.
SELECT
    attempt_no,
    lease,
    worker_id,
    outcome,
    error,
    started_at,
    finished_at,
    stop_ignored_at,
    refused,
    beats,
    heartbeat_at,
    beat_interval_ms,
    silent_gaps
FROM jobforge_job_attempts
WHERE job_id = ?1
ORDER BY lease DESC
LIMIT 1;
