-- Ends a queued or running job.
-- ?1 id, ?2 now
-- Index: primary key.
UPDATE jobforge_jobs
SET
    status = 'canceled',
    lease = lease + 1,
    finished_at = ?2,
    last_worker = coalesce(locked_by, last_worker),
    locked_by = NULL,
    locked_at = NULL,
    heartbeat_due_at = NULL,
    deadline_at = NULL,
    progress_limit_ms = NULL,
    updated_at = ?2
WHERE id = ?1
  AND status IN ('queued', 'running');
