-- One schedule.
-- ?1 name
-- Index: primary key.
SELECT *
FROM jobforge_schedules
WHERE name = ?1;
