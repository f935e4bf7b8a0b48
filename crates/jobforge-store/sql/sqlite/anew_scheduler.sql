-- Lets any server fire schedules at once, whoever did where the copy was made.
-- One row.
DELETE FROM jobforge_scheduler;
