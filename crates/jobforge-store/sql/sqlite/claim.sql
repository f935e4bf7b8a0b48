-- Takes due jobs of one queue, most urgent first; the rows come back in no order.
-- ?1 worker, ?2 now, ?3 heartbeat due at, ?4 queue, ?5 types as a JSON list or NULL for all, ?6 at most so many
-- Index: idx_jobforge_jobs_claim, in its own order and without reading the rows that are passed over.
UPDATE jobforge_jobs
SET
    status = 'running',
    attempts = attempts + 1,
    lease = lease + 1,
    locked_by = ?1,
    locked_at = ?2,
    started_at = ?2,
    heartbeat_at = ?2,
    heartbeat_due_at = ?3,
    deadline_at = ?2 + timeout_ms * 1000,
    progress = NULL,
    progress_message = NULL,
    phase = NULL,
    progress_at = NULL,
    items_processed = 0,
    items_failed = 0,
    items_skipped = 0,
    updated_at = ?2
WHERE rowid IN (
    SELECT rowid
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
    WHERE status = 'queued'
      AND due = 1
      AND queue = ?4
      AND run_at <= ?2
      AND (?5 IS NULL OR type IN (SELECT value FROM json_each(?5)))
    ORDER BY priority, run_at, id
    LIMIT ?6
)
RETURNING
    id,
    tenant_id,
    type,
    queue,
    priority,
    run_at,
    payload,
    attempts,
    max_attempts,
    lease,
    timeout_ms,
    created_at,
    checkpoint,
    tags,
    traceparent,
    retry;
