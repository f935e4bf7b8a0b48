-- Runs a job again from the beginning, whatever its status.
-- ?1 id, ?2 now, ?3 run_at, ?4 due
-- Index: primary key.
UPDATE jobforge_jobs
SET
    status = 'queued',
    queued_because = 'operator',
    lease = lease + 1,
    attempts = 0,
    misses = 0,
    crashes = NULL,
    alone = 0,
    dead_group = NULL,
    resolved_at = NULL,
    resolved_by = NULL,
    resolution = NULL,
    run_at = ?3,
    due = ?4,
    error = NULL,
    result_id = NULL,
    finished_at = NULL,
    last_worker = coalesce(locked_by, last_worker),
    locked_by = NULL,
    locked_at = NULL,
    heartbeat_due_at = NULL,
    deadline_at = NULL,
    progress_limit_ms = NULL,
    progress = NULL,
    progress_message = NULL,
    phase = NULL,
    progress_at = NULL,
    checkpoint = NULL,
    updated_at = ?2
WHERE id = ?1;
