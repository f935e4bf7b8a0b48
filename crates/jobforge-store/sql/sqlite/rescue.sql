-- Takes a job from its worker, only if lease and heartbeat deadline are as the plan saw them.
-- ?1 id, ?2 lease, ?3 seen heartbeat_due_at, ?4 now, ?5 to, ?6 because, ?7 run_at if queued, ?8 due if queued,
-- ?9 misses, ?10 error, ?11 attempts given back, ?12 deaths of workers, ?13 whether it runs alone
-- Index: primary key.
UPDATE jobforge_jobs
SET
    status = ?5,
    lease = lease + 1,
    misses = ?9,
    attempts = max(attempts - ?11, 0),
    crashes = ?12,
    alone = ?13,
    queued_because = CASE WHEN ?5 = 'queued' THEN ?6 ELSE queued_because END,
    run_at = coalesce(?7, run_at),
    due = coalesce(?8, due),
    finished_at = CASE WHEN ?5 = 'queued' THEN NULL ELSE ?4 END,
    error = ?10,
    last_worker = locked_by,
    locked_by = NULL,
    locked_at = NULL,
    heartbeat_due_at = NULL,
    deadline_at = NULL,
    progress_limit_ms = NULL,
    updated_at = ?4
WHERE id = ?1
  AND lease = ?2
  AND status = 'running'
  AND heartbeat_due_at IS ?3
RETURNING
    tenant_id,
    queue,
    attempts,
    started_at,
    CASE WHEN created_by GLOB 'schedule:*' THEN substr(created_by, 10) ELSE type END,
    items_processed,
    items_failed,
    items_skipped,
    last_worker;
