-- Forgets watchdogs that have been silent for long.
-- ?1 silent since before
-- Scans the watchdogs, of which there are few.
DELETE FROM jobforge_watchdogs
WHERE last_sign_at < ?1;
