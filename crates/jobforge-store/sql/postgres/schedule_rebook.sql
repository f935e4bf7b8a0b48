-- Says of a line that another job stands for its moment, or none.
--
-- $1 schedule, $2 moment, $3 outcome, $4 why, $5 job. Uses the primary key.
UPDATE jobforge_schedule_runs
SET outcome = $3,
    why = $4,
    job_id = $5
WHERE schedule = $1 AND planned_for = $2
