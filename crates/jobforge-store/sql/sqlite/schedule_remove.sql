-- Removes a schedule; its history goes with it.
-- ?1 name
-- Index: primary key.
DELETE FROM jobforge_schedules
WHERE name = ?1;
