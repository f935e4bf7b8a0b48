-- Writes down what became of moments; a moment that has its line already is left alone. Returns those that were written.
--
-- One array element a line: $1 schedule, $2 moment, $3 number, $4 outcome, $5 why, $6 how many moments, $7 the last of them,
-- $8 its job, and $9 by whom it was asked for. Uses the primary key.
INSERT INTO jobforge_schedule_runs
  (schedule, planned_for, line, outcome, why, ticks, planned_until, job_id, triggered_by, recorded_at)
SELECT schedule, planned_for, line, outcome, why, ticks, planned_until, job_id, $9, jobforge_now()
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[], $8::uuid[])
  AS n (schedule, planned_for, line, outcome, why, ticks, planned_until, job_id)
ON CONFLICT DO NOTHING
RETURNING schedule, planned_for
