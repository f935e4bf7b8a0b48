-- Ends first claims that succeeded and have nothing else to say: the common case, one update and no other write.
--
-- $1 worker, $2 ids, all held under lease 1. Returns what was settled, as `settle.sql` does. Uses the primary key.
-- `IS NOT DISTINCT FROM` keeps the planner from idx_jobforge_jobs_running, which would read all of the worker's jobs for
-- each of the batch: seen at 1,000 running jobs, 300 times slower.
WITH settled AS (
  UPDATE jobforge_jobs j
  SET status = 'succeeded',
      revision = j.revision + 1,
      finished_at = (SELECT jobforge_now()),
      last_worker = j.locked_by,
      locked_by = NULL,
      locked_at = NULL,
      heartbeat_due_at = NULL,
      deadline_at = NULL,
      progress_limit_ms = NULL,
      error = NULL,
      silent_gaps = CASE
        WHEN (SELECT jobforge_now()) - j.heartbeat_at > j.beat_interval_ms * interval '2 ms'
        THEN jobforge_silent_gaps(j.silent_gaps, j.heartbeat_at, j.beat_interval_ms, (SELECT jobforge_now()))
        ELSE j.silent_gaps
      END,
      updated_at = (SELECT jobforge_now())
  WHERE j.id = ANY ($2) AND j.lease = 1 AND j.locked_by IS NOT DISTINCT FROM $1 AND j.status IS NOT DISTINCT FROM 'running'
  RETURNING j.id, j.lease, j.queue,
            CASE WHEN starts_with(j.created_by, 'schedule:') THEN substr(j.created_by, 10) ELSE j.type END AS job_name,
            extract(epoch FROM j.finished_at - j.started_at)::float8 AS took_s,
            j.items_processed, j.items_failed, j.items_skipped
)
SELECT id, lease, queue, job_name, took_s, items_processed, items_failed, items_skipped,
  -- A name that was noted within a second costs no more than this look.
  (SELECT jobforge_note_successes(array_agg(job_name))
   FROM settled
   WHERE NOT EXISTS (
       SELECT FROM jobforge_successes s WHERE s.name = settled.job_name AND s.last_at > jobforge_now() - interval '1 s'
     )
   HAVING count(*) > 0)
FROM settled
