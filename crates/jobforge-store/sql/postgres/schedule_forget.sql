-- Forgets the oldest lines of schedules.
--
-- $1 schedules, $2 of each the last number to go. Uses idx_jobforge_schedule_runs_line.
DELETE FROM jobforge_schedule_runs r
USING unnest($1::text[], $2::bigint[]) AS n (schedule, line)
WHERE r.schedule = n.schedule AND r.line <= n.line
