-- Schedules whose next moment was reckoned on a clock that has been set back since.
-- ?1 now, ?2 how many
SELECT *
FROM jobforge_schedules
WHERE due_at IS NOT NULL
  AND planned_at > ?1
LIMIT ?2;
