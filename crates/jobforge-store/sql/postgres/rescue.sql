-- Applies a rescue plan: each job only if its lease and heartbeat deadline are as the plan saw them.
--
-- One array element a line: $1 id, $2 lease, $3 heartbeat deadline as seen, $4 status it goes to, $5 why it is queued,
-- $6 delay in ms, $7 misses, $8 error, $9 whether the attempt counts, $10 deaths of workers, $11 whether it runs alone.
-- Returns what was moved: id, queue, the name under which it is counted, seconds that the attempt took, items. Uses the
-- primary key.
WITH r AS MATERIALIZED (
  SELECT *
  FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::bigint[], $7::integer[], $8::jsonb[],
              $9::boolean[], $10::jsonb[], $11::boolean[])
    AS r (id, lease, seen_due_at, to_status, because, delay_ms, misses, error, burns, crashes, alone)
), moved AS (
  UPDATE jobforge_jobs j
  SET status = r.to_status,
      revision = j.revision + 1,
      lease = j.lease + 1,
      misses = r.misses,
      attempts = CASE WHEN r.burns THEN j.attempts ELSE greatest(j.attempts - 1, 0) END,
      crashes = r.crashes,
      alone = r.alone,
      queued_because = CASE WHEN r.to_status = 'queued' THEN r.because ELSE j.queued_because END,
      run_at = CASE WHEN r.to_status = 'queued' THEN jobforge_now() + r.delay_ms * interval '1 ms' ELSE j.run_at END,
      finished_at = CASE WHEN r.to_status = 'queued' THEN NULL ELSE jobforge_now() END,
      last_worker = j.locked_by,
      locked_by = NULL,
      locked_at = NULL,
      heartbeat_due_at = NULL,
      deadline_at = NULL,
      progress_limit_ms = NULL,
      error = r.error,
      updated_at = jobforge_now()
  FROM r
  WHERE j.id = r.id
    AND j.lease = r.lease
    AND j.status IS NOT DISTINCT FROM 'running'
    AND j.heartbeat_due_at IS NOT DISTINCT FROM r.seen_due_at
  RETURNING j.id, j.tenant_id, CASE WHEN r.burns THEN j.attempts ELSE j.attempts + 1 END AS attempts, r.lease, j.last_worker, j.started_at, r.because, r.error,
            j.beats, j.heartbeat_at, j.beat_interval_ms, j.silent_gaps, j.queue,
            CASE WHEN starts_with(j.created_by, 'schedule:') THEN substr(j.created_by, 10) ELSE j.type END AS job_name,
            extract(epoch FROM jobforge_now() - j.started_at)::float8 AS took_s,
            j.items_processed, j.items_failed, j.items_skipped
), kept AS (
  INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at, error,
                                     beats, heartbeat_at, beat_interval_ms, silent_gaps)
  SELECT id, tenant_id, attempts, lease, last_worker,
         CASE WHEN because = 'rescue' THEN 'lost' ELSE 'timed_out' END,
         started_at, jobforge_now(), error, beats, heartbeat_at, beat_interval_ms, silent_gaps
  FROM moved
  ON CONFLICT (job_id, lease) DO NOTHING
), told AS (
  SELECT pg_notify('jobforge', 'moved:' || id) FROM moved
)
SELECT id, queue, job_name, took_s, items_processed, items_failed, items_skipped, (SELECT count(*) FROM told) AS told
FROM moved
