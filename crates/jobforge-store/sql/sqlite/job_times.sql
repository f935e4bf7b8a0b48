-- Gives every running job its whole time-out and time to its next heartbeat from now.
-- ?1 now
-- Counts as a heartbeat, so that doing it twice gives no more.
-- Index: idx_jobforge_jobs_running holds no more rows than workers have slots.
UPDATE jobforge_jobs
SET
    heartbeat_at = ?1,
    heartbeat_due_at = ?1 + heartbeat_due_at - heartbeat_at,
    deadline_at = ?1 + timeout_ms * 1000
WHERE status = 'running';
