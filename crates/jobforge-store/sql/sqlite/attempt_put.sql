-- Records an ended attempt, with what was heard of it.
-- ?1 row id, ?2 job id, ?3 tenant, ?4 attempt number, ?5 lease, ?6 worker, ?7 outcome, ?8 started at, ?9 now, ?10 error
-- Index: primary key. A lease ends only once; were there a row already, its word stands and the job still moves.
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
    error,
    created_at,
    beats,
    heartbeat_at,
    beat_interval_ms,
    silent_gaps
)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?9, beats, heartbeat_at, beat_interval_ms, silent_gaps
FROM jobforge_jobs
WHERE id = ?2
ON CONFLICT (job_id, lease) DO NOTHING;
