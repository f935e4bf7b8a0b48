-- Every watchdog that gave a sign of life lately, the last first.
-- ?1 after
-- Scans the watchdogs, of which there are few.
SELECT
    id,
    started_at,
    last_sign_at,
    check_interval_ms,
    guard,
    guard_until
FROM jobforge_watchdogs
WHERE last_sign_at > ?1
ORDER BY last_sign_at DESC, id;
