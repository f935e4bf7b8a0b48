-- Notes how the job of a moment has ended.
-- ?1 schedule, ?2 moment, ?3 how, ?4 when, ?5 how long its last attempt took
-- Index: primary key.
UPDATE jobforge_schedule_runs
SET
    status = ?3,
    finished_at = ?4,
    duration_ms = ?5
WHERE schedule = ?1
  AND planned_for = ?2;
