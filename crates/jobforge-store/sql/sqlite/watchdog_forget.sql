-- Forgets watchdogs that have been silent for long.
-- ?1 silent since before, ?2 at most so many
-- Scans the watchdogs, of which there are few.
DELETE FROM jobforge_watchdogs
WHERE rowid IN (
    SELECT rowid
    FROM jobforge_watchdogs
    WHERE last_sign_at < ?1
    LIMIT ?2
);
