-- Records a success at the first try before a fresh start wipes the job's row, which alone told of it.
-- ?1 row id, ?2 job id, ?3 now
-- Index: primary key; a later success has its row already.
INSERT INTO jobforge_job_attempts (
    id,
    job_id,
    tenant_id,
    attempt_no,
    lease,
    worker_id,
    outcome,
    started_at,
    finished_at,
    created_at,
    beats,
    heartbeat_at,
    beat_interval_ms,
    silent_gaps
)
SELECT
    ?1,
    id,
    tenant_id,
    attempts,
    lease,
    last_worker,
    'succeeded',
    started_at,
    finished_at,
    ?3,
    beats,
    heartbeat_at,
    beat_interval_ms,
    silent_gaps
FROM jobforge_jobs
WHERE id = ?2
  AND status = 'succeeded'
ON CONFLICT (job_id, lease) DO NOTHING;
