-- Gives every running job its whole time-outs and time to its next heartbeat from now.
-- ?1 now
-- Counts as a claim and a heartbeat, so that doing it twice gives no more; where standing still is bounded, as a report too.
-- Index: idx_jobforge_jobs_running holds no more rows than workers have slots.
UPDATE jobforge_jobs
SET
    locked_at = ?1,
    heartbeat_at = ?1,
    heartbeat_due_at = ?1 + heartbeat_due_at - heartbeat_at,
    deadline_at = ?1 + deadline_at - locked_at,
    progress_at = CASE WHEN progress_limit_ms IS NULL THEN progress_at ELSE ?1 END
WHERE status = 'running';
