-- What became of a schedule's moments, newest first.
--
-- $1 name, $2 only those before, $3 how many. Uses the primary key.
SELECT planned_for, outcome, why, recorded_at, ticks, planned_until, triggered_by, job_id, status, finished_at, duration_ms
FROM jobforge_schedule_runs
WHERE schedule = $1 AND ($2::timestamptz IS NULL OR planned_for < $2)
ORDER BY planned_for DESC
LIMIT $3
