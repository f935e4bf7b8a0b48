-- Every watchdog that gave a sign of life within a day, the last first.
SELECT id, started_at, last_sign_at, check_interval_ms, guard, guard_until
FROM jobforge_watchdogs
WHERE last_sign_at > jobforge_now() - interval '1 day'
ORDER BY last_sign_at DESC, id
