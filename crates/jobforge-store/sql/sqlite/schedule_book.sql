-- Writes down what became of a moment; one that has its line already is left alone.
-- ?1 schedule, ?2 moment, ?3 number, ?4 outcome, ?5 why, ?6 how many moments, ?7 the last of them, ?8 its job,
-- ?9 by whom it was asked for, ?10 now
-- Index: primary key.
INSERT INTO jobforge_schedule_runs (
    schedule,
    planned_for,
    line,
    outcome,
    why,
    ticks,
    planned_until,
    job_id,
    triggered_by,
    recorded_at
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT DO NOTHING;
