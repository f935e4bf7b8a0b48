-- Stores a sign of life of a watchdog.
--
-- $1 watchdog, $2 check interval in ms, $3 guard that holds its verdicts back, $4 until when.
INSERT INTO jobforge_watchdogs (id, started_at, last_sign_at, check_interval_ms, guard, guard_until)
VALUES ($1, jobforge_now(), jobforge_now(), $2, $3, $4)
ON CONFLICT (id) DO UPDATE
SET last_sign_at = excluded.last_sign_at,
    check_interval_ms = excluded.check_interval_ms,
    guard = excluded.guard,
    guard_until = excluded.guard_until
