-- Moves a schedule to its next moment.
-- ?1 name, ?2 next moment, ?3 when it is due, ?4 the last moment that ran, ?5 its job, ?6 moments that were missed,
-- ?7 lines that were written, ?8 whether its pause is over, ?9 now
-- Index: primary key.
UPDATE jobforge_schedules
SET
    next_at = ?2,
    due_at = ?3,
    planned_at = ?9,
    fresh_at = CASE WHEN ?8 THEN ?9 ELSE fresh_at END,
    last_planned_for = coalesce(?4, last_planned_for),
    last_fired_at = CASE WHEN ?5 IS NULL THEN last_fired_at ELSE ?9 END,
    last_job_id = coalesce(?5, last_job_id),
    missed_runs = missed_runs + ?6,
    lines = lines + ?7,
    paused_at = CASE WHEN ?8 THEN NULL ELSE paused_at END,
    paused_by = CASE WHEN ?8 THEN NULL ELSE paused_by END,
    pause_reason = CASE WHEN ?8 THEN NULL ELSE pause_reason END,
    paused_until = CASE WHEN ?8 THEN NULL ELSE paused_until END
WHERE name = ?1;
