-- Forgets whoever watched where the copy was made.
-- Scans the watchdogs, of which there are few.
DELETE FROM jobforge_watchdogs;
