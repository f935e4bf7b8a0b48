-- Stores signs of life and reports of running jobs, each only under its lease.
--
-- $1 worker, then one array element a beat: $2 id, $3 lease, $4 milliseconds until the next is due, $5 progress,
-- $6 message, $7 phase, $8 items processed, $9 failed, $10 skipped, $11 checkpoint, $12 log tail, $13 milliseconds after which
-- the worker means to send the next.
-- A silence of more than twice the interval that was meant is kept; such a beat alone is no HOT update.
-- Returns the ids that are still the worker's. Uses the primary key; touches no indexed column.
-- `IS NOT DISTINCT FROM` keeps the planner from idx_jobforge_jobs_running, which would read all of the worker's jobs for
-- each of the batch: seen at 1,000 running jobs, 300 times slower. The status is compared so for the same reason.
WITH beat AS MATERIALIZED (
  SELECT *
  FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::smallint[], $6::text[], $7::text[], $8::bigint[],
              $9::bigint[], $10::bigint[], $11::jsonb[], $12::text[], $13::bigint[])
    AS b (id, lease, due_in_ms, progress, message, phase, processed, failed, skipped, checkpoint, log, interval_ms)
), kept AS (
  UPDATE jobforge_jobs j
  SET revision = j.revision + 1,
      beats = j.beats + 1,
      beat_interval_ms = b.interval_ms,
      silent_gaps = CASE
        WHEN (SELECT jobforge_now()) - j.heartbeat_at > j.beat_interval_ms * interval '2 ms'
        THEN jobforge_silent_gaps(j.silent_gaps, j.heartbeat_at, j.beat_interval_ms, (SELECT jobforge_now()))
        ELSE j.silent_gaps
      END,
      heartbeat_at = (SELECT jobforge_now()),
      heartbeat_due_at = (SELECT jobforge_now()) + b.due_in_ms * interval '1 ms',
      progress = coalesce(b.progress, j.progress),
      progress_message = coalesce(b.message, j.progress_message),
      phase = coalesce(b.phase, j.phase),
      progress_at = CASE
        WHEN num_nonnulls(b.progress, b.message, b.phase, b.processed, b.checkpoint) = 0 THEN j.progress_at
        ELSE (SELECT jobforge_now())
      END,
      items_processed = coalesce(b.processed, j.items_processed),
      items_failed = coalesce(b.failed, j.items_failed),
      items_skipped = coalesce(b.skipped, j.items_skipped),
      checkpoint = coalesce(b.checkpoint, j.checkpoint)
  FROM beat b
  WHERE j.id = b.id AND j.lease = b.lease AND j.locked_by IS NOT DISTINCT FROM $1 AND j.status IS NOT DISTINCT FROM 'running'
  RETURNING j.id, j.lease, j.attempts, b.log, b.progress, b.message, b.phase
), kept_logs AS (
  INSERT INTO jobforge_job_logs (job_id, lease, attempt_no, tail, updated_at)
  SELECT id, lease, attempts, log, (SELECT jobforge_now())
  FROM kept
  WHERE log IS NOT NULL
  ON CONFLICT (job_id, lease) DO UPDATE SET tail = excluded.tail, updated_at = excluded.updated_at
)
SELECT id, lease,
  CASE WHEN num_nonnulls(progress, message, phase) > 0 THEN jobforge_note_progress(id, lease, progress, phase, message) END
FROM kept
