-- One schedule.
--
-- $1 name. Uses the primary key.
SELECT *
FROM jobforge_schedules
WHERE name = $1
