-- Ends attempts in any way, with their results, attempt rows, reports and logs, in one statement.
--
-- $1 worker, then one array element a settlement: $2 id, $3 lease, $4 status it goes to, $5 why it is queued,
-- $6 delay in ms, $7 whether the attempt counts, $8 error, $9 result, $10 result id, $11 progress, $12 message,
-- $13 phase, $14 items processed, $15 failed, $16 skipped, $17 checkpoint, $18 log tail.
-- Returns what was settled: id, lease, queue, the name under which it is counted, seconds that the attempt took, items.
-- Uses the primary key. Notes when executions of a name last succeeded, to the second.
-- `IS NOT DISTINCT FROM` keeps the planner from idx_jobforge_jobs_running, which would read all of the worker's jobs for
-- each of the batch: seen at 1,000 running jobs, 300 times slower. The status is compared so for the same reason.
WITH s AS MATERIALIZED (
  SELECT *
  FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::boolean[], $8::jsonb[], $9::jsonb[],
              $10::uuid[], $11::smallint[], $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[],
              $17::jsonb[], $18::text[])
    AS s (id, lease, to_status, because, delay_ms, burns, error, result, result_id, progress, message, phase,
          processed, failed, skipped, checkpoint, log)
), settled AS (
  UPDATE jobforge_jobs j
  SET status = s.to_status,
      revision = j.revision + 1,
      queued_because = CASE WHEN s.to_status = 'queued' THEN s.because ELSE j.queued_because END,
      run_at = CASE WHEN s.to_status = 'queued' THEN jobforge_now() + s.delay_ms * interval '1 ms' ELSE j.run_at END,
      attempts = CASE WHEN s.burns THEN j.attempts ELSE greatest(j.attempts - 1, 0) END,
      finished_at = CASE WHEN s.to_status = 'queued' THEN NULL ELSE jobforge_now() END,
      last_worker = j.locked_by,
      locked_by = NULL,
      locked_at = NULL,
      heartbeat_due_at = NULL,
      deadline_at = NULL,
      progress_limit_ms = NULL,
      error = CASE WHEN s.to_status = 'succeeded' THEN NULL ELSE coalesce(s.error, j.error) END,
      result_id = coalesce(s.result_id, j.result_id),
      progress = coalesce(s.progress, j.progress),
      progress_message = coalesce(s.message, j.progress_message),
      phase = coalesce(s.phase, j.phase),
      progress_at = CASE
        WHEN num_nonnulls(s.progress, s.message, s.phase, s.processed, s.checkpoint) = 0 THEN j.progress_at
        ELSE jobforge_now()
      END,
      items_processed = coalesce(s.processed, j.items_processed),
      items_failed = coalesce(s.failed, j.items_failed),
      items_skipped = coalesce(s.skipped, j.items_skipped),
      checkpoint = coalesce(s.checkpoint, j.checkpoint),
      silent_gaps = CASE
        WHEN jobforge_now() - j.heartbeat_at > j.beat_interval_ms * interval '2 ms'
        THEN jobforge_silent_gaps(j.silent_gaps, j.heartbeat_at, j.beat_interval_ms, jobforge_now())
        ELSE j.silent_gaps
      END,
      updated_at = jobforge_now()
  FROM s
  WHERE j.id = s.id AND j.lease = s.lease AND j.locked_by IS NOT DISTINCT FROM $1 AND j.status IS NOT DISTINCT FROM 'running'
  RETURNING j.id, j.tenant_id, j.lease, j.started_at,
            CASE WHEN s.burns THEN j.attempts ELSE j.attempts + 1 END AS attempt_no,
            s.to_status, s.because, s.error, s.result, s.result_id, s.log, s.progress, s.message, s.phase, j.queue,
            CASE WHEN starts_with(j.created_by, 'schedule:') THEN substr(j.created_by, 10) ELSE j.type END AS job_name,
            extract(epoch FROM jobforge_now() - j.started_at)::float8 AS took_s,
            j.items_processed, j.items_failed, j.items_skipped, j.beats, j.heartbeat_at, j.beat_interval_ms, j.silent_gaps
), kept_results AS (
  INSERT INTO jobforge_job_results (id, job_id, tenant_id, result, created_at)
  SELECT result_id, id, tenant_id, result, jobforge_now()
  FROM settled
  WHERE result_id IS NOT NULL
  ON CONFLICT (job_id) DO UPDATE SET id = excluded.id, result = excluded.result, created_at = excluded.created_at
), kept_attempts AS (
  INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at, error,
                                     beats, heartbeat_at, beat_interval_ms, silent_gaps)
  SELECT id, tenant_id, attempt_no, lease, $1,
         CASE
           WHEN to_status <> 'queued' THEN to_status
           WHEN because = 'release' THEN 'released'
           ELSE because
         END,
         started_at, jobforge_now(), error, beats, heartbeat_at, beat_interval_ms, silent_gaps
  FROM settled
  WHERE (to_status <> 'succeeded' OR attempt_no > 1) AND NOT (to_status = 'queued' AND because = 'snooze')
  ON CONFLICT (job_id, lease) DO NOTHING
), kept_logs AS (
  INSERT INTO jobforge_job_logs (job_id, lease, attempt_no, tail, updated_at)
  SELECT id, lease, attempt_no, log, jobforge_now()
  FROM settled
  WHERE log IS NOT NULL
  ON CONFLICT (job_id, lease) DO UPDATE SET tail = excluded.tail, updated_at = excluded.updated_at
)
SELECT id, lease, queue, job_name, took_s, items_processed, items_failed, items_skipped,
  -- A name that was noted within a second costs no more than this look.
  (SELECT jobforge_note_successes(array_agg(job_name))
   FROM settled
   WHERE to_status = 'succeeded' AND NOT EXISTS (
       SELECT FROM jobforge_successes s WHERE s.name = settled.job_name AND s.last_at > jobforge_now() - interval '1 s'
     )
   HAVING count(*) > 0),
  CASE WHEN num_nonnulls(progress, message, phase) > 0 THEN jobforge_note_progress(id, lease, progress, phase, message) END
FROM settled
