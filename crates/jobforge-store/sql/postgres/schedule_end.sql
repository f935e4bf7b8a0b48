-- Notes how jobs of schedules have ended, with their schedules; returns how many.
--
-- $1 how many at most. Uses idx_jobforge_schedule_runs_open and the primary key of the jobs. A job that was deleted before
-- anybody looked has ended somehow. A schedule that somebody holds is passed over until the next look, so that one left
-- open transaction stops no other schedule.
WITH ended AS MATERIALIZED (
  SELECT r.schedule, r.planned_for, j.status, coalesce(j.finished_at, jobforge_now()) AS finished_at,
         (extract(epoch FROM j.finished_at - j.started_at) * 1000)::bigint AS duration_ms
  FROM jobforge_schedule_runs r
  JOIN jobforge_schedules s ON s.name = r.schedule
  LEFT JOIN jobforge_jobs j ON j.id = r.job_id
  WHERE r.job_id IS NOT NULL AND r.finished_at IS NULL AND (j.id IS NULL OR j.finished_at IS NOT NULL)
  LIMIT $1
  FOR UPDATE OF r, s SKIP LOCKED
), noted AS (
  UPDATE jobforge_schedule_runs r
  SET status = e.status,
      finished_at = e.finished_at,
      duration_ms = e.duration_ms
  FROM ended e
  WHERE r.schedule = e.schedule AND r.planned_for = e.planned_for
), last AS MATERIALIZED (
  SELECT DISTINCT ON (schedule) schedule, status, finished_at, duration_ms,
         max(finished_at) FILTER (WHERE status = 'succeeded') OVER (PARTITION BY schedule) AS succeeded_at
  FROM ended
  ORDER BY schedule, finished_at DESC
), told AS (
  UPDATE jobforge_schedules s
  SET last_status = CASE WHEN l.finished_at >= coalesce(s.last_finished_at, l.finished_at) THEN l.status ELSE s.last_status END,
      last_duration_ms = CASE WHEN l.finished_at >= coalesce(s.last_finished_at, l.finished_at) THEN l.duration_ms ELSE s.last_duration_ms END,
      last_finished_at = greatest(s.last_finished_at, l.finished_at),
      last_success_at = greatest(s.last_success_at, l.succeeded_at),
      fresh_at = greatest(s.fresh_at, l.succeeded_at),
      consecutive_failures = CASE WHEN l.succeeded_at IS NULL THEN s.consecutive_failures ELSE 0 END + (
        SELECT count(*)
        FROM ended e
        WHERE e.schedule = l.schedule
          AND e.status IN ('failed', 'dead')
          AND e.finished_at > coalesce(greatest(l.succeeded_at, s.last_success_at), '-infinity')
      )
  FROM last l
  WHERE s.name = l.schedule
)
SELECT count(*) FROM ended
