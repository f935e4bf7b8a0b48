-- Forgets the oldest lines of a schedule.
-- ?1 schedule, ?2 the last number to go
-- Index: idx_jobforge_schedule_runs_line.
DELETE FROM jobforge_schedule_runs
WHERE schedule = ?1
  AND line <= ?2;
