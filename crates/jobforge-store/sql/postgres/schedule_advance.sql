-- Moves schedules to their next moment.
--
-- One array element a schedule: $1 name, $2 next moment, $3 when it is due, $4 the last moment that ran, $5 its job,
-- $6 moments that were missed, $7 lines that were written, $8 whether its pause is over. Uses the primary key.
UPDATE jobforge_schedules s
SET next_at = n.next_at,
    due_at = n.due_at,
    planned_at = jobforge_now(),
    fresh_at = CASE WHEN n.resumed THEN jobforge_now() ELSE s.fresh_at END,
    last_planned_for = coalesce(n.planned_for, s.last_planned_for),
    last_fired_at = CASE WHEN n.job_id IS NULL THEN s.last_fired_at ELSE jobforge_now() END,
    last_job_id = coalesce(n.job_id, s.last_job_id),
    missed_runs = s.missed_runs + n.missed,
    lines = s.lines + n.lines,
    paused_at = CASE WHEN n.resumed THEN NULL ELSE s.paused_at END,
    paused_by = CASE WHEN n.resumed THEN NULL ELSE s.paused_by END,
    pause_reason = CASE WHEN n.resumed THEN NULL ELSE s.pause_reason END,
    paused_until = CASE WHEN n.resumed THEN NULL ELSE s.paused_until END
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::uuid[], $6::bigint[], $7::bigint[],
            $8::boolean[])
  AS n (name, next_at, due_at, planned_for, job_id, missed, lines, resumed)
WHERE s.name = n.name
