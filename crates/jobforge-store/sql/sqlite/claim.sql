-- Takes due jobs of one queue, most urgent first; the rows come back in no order.
-- ?1 worker, ?2 now, ?3 heartbeat due at, ?4 queue, ?5 types as a JSON list or NULL for all, ?6 at most so many,
-- ?7 and ?8 bounds for jobs that have none of their own, on the attempt and on the time between two reports of progress:
-- {"by_type": {type: milliseconds}, "other": milliseconds} or NULL, ?9 whether jobs are taken that must run alone, or
-- all others, ?10 the only tenant whose jobs are taken or NULL for all, ?11 milliseconds after which the worker means to send
-- the first heartbeat
-- Index: idx_jobforge_jobs_claim, in its own order and without reading the rows that are passed over.
UPDATE jobforge_jobs
SET
    status = 'running',
    attempts = attempts + 1,
    lease = max(lease + 1, (SELECT lease_base FROM jobforge_fleet)),
    locked_by = ?1,
    locked_at = ?2,
    started_at = ?2,
    heartbeat_at = ?2,
    heartbeat_due_at = ?3,
    beats = 0,
    beat_interval_ms = ?11,
    silent_gaps = NULL,
    deadline_at = ?2 + 1000 * coalesce(
        timeout_ms,
        (SELECT value FROM json_each(?7, '$.by_type') WHERE key = jobforge_jobs.type),
        json_extract(?7, '$.other')
    ),
    progress_limit_ms = coalesce(
        progress_timeout_ms,
        (SELECT value FROM json_each(?8, '$.by_type') WHERE key = jobforge_jobs.type),
        json_extract(?8, '$.other')
    ),
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
      AND alone = ?9
      AND run_at <= ?2
      AND (?5 IS NULL OR type IN (SELECT value FROM json_each(?5)))
      AND (?10 IS NULL OR tenant_id = ?10)
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
    deadline_at,
    created_at,
    checkpoint,
    tags,
    traceparent,
    retry,
    progress_limit_ms,
    alone;
