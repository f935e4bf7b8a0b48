-- Cancels jobs or queues them again, whatever their owner thinks, and fences that owner.
--
-- $1 ids, $2 'cancel' or 'retry', $3 delay in ms, $4 by whom. Returns id and status before, for every job that exists, and what
-- its attempt is counted by.
-- Uses the primary key. Results of an earlier run go with the fresh start.
WITH before AS MATERIALIZED (
  SELECT id, tenant_id, status, attempts, lease, locked_by, last_worker, started_at, finished_at, queue, type,
         created_by, items_processed, items_failed, items_skipped, beats, heartbeat_at, beat_interval_ms, silent_gaps
  FROM jobforge_jobs
  WHERE id = ANY ($1)
  ORDER BY id
  FOR UPDATE
), allowed AS (
  SELECT *
  FROM before
  WHERE $2 = 'retry' OR status IN ('queued', 'running')
), moved AS (
  UPDATE jobforge_jobs j
  SET status = CASE $2 WHEN 'retry' THEN 'queued' ELSE 'canceled' END,
      revision = j.revision + 1,
      lease = j.lease + 1,
      finished_at = CASE $2 WHEN 'retry' THEN NULL ELSE jobforge_now() END,
      last_worker = coalesce(j.locked_by, j.last_worker),
      locked_by = NULL,
      locked_at = NULL,
      heartbeat_due_at = NULL,
      deadline_at = NULL,
      progress_limit_ms = NULL,
      updated_at = jobforge_now(),
      attempts = CASE $2 WHEN 'retry' THEN 0 ELSE j.attempts END,
      misses = CASE $2 WHEN 'retry' THEN 0 ELSE j.misses END,
      crashes = CASE $2 WHEN 'retry' THEN NULL ELSE j.crashes END,
      alone = CASE $2 WHEN 'retry' THEN false ELSE j.alone END,
      dead_group = NULL,
      resolved_at = NULL,
      resolved_by = NULL,
      resolution = NULL,
      error = CASE $2 WHEN 'retry' THEN NULL ELSE j.error END,
      result_id = CASE $2 WHEN 'retry' THEN NULL ELSE j.result_id END,
      checkpoint = CASE $2 WHEN 'retry' THEN NULL ELSE j.checkpoint END,
      queued_because = CASE $2 WHEN 'retry' THEN 'operator' ELSE j.queued_because END,
      run_at = CASE $2 WHEN 'retry' THEN jobforge_now() + $3::bigint * interval '1 ms' ELSE j.run_at END,
      progress = CASE $2 WHEN 'retry' THEN NULL ELSE j.progress END,
      progress_message = CASE $2 WHEN 'retry' THEN NULL ELSE j.progress_message END,
      phase = CASE $2 WHEN 'retry' THEN NULL ELSE j.phase END,
      progress_at = CASE $2 WHEN 'retry' THEN NULL ELSE j.progress_at END
  FROM allowed a
  WHERE j.id = a.id
), old_results AS (
  DELETE FROM jobforge_job_results r
  USING allowed a
  WHERE r.job_id = a.id AND $2 = 'retry'
), kept AS (
  INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at, error,
                                     beats, heartbeat_at, beat_interval_ms, silent_gaps)
  SELECT id, tenant_id, attempts, lease, coalesce(locked_by, last_worker), CASE WHEN status = 'succeeded' THEN 'succeeded' WHEN $2 = 'retry' THEN 'reset' ELSE 'canceled' END,
         started_at, coalesce(finished_at, jobforge_now()), NULL::jsonb, beats, heartbeat_at, beat_interval_ms,
         silent_gaps
  FROM allowed
  WHERE status IN ('running', 'succeeded')
  ON CONFLICT (job_id, lease) DO NOTHING
), told AS (
  SELECT pg_notify('jobforge', 'moved:' || id) FROM allowed WHERE status = 'running'
)
SELECT id, status, queue,
  CASE WHEN starts_with(created_by, 'schedule:') THEN substr(created_by, 10) ELSE type END AS job_name,
  extract(epoch FROM jobforge_now() - started_at)::float8 AS took_s, items_processed, items_failed, items_skipped, (SELECT count(*) FROM told) AS told,
  (SELECT count(jobforge_audit_add($4, 'job.' || $2, id::text, tenant_id, jsonb_build_object('status', status)::text,
     jsonb_build_object('status', CASE $2 WHEN 'retry' THEN 'queued' ELSE 'canceled' END)::text))
   FROM allowed) AS audited
FROM before
