-- Stores a sign of life of a watchdog, and forgets those that have been silent for a day.
--
-- $1 watchdog, $2 check interval in ms, $3 guard that holds its verdicts back, $4 until when.
WITH forgotten AS (
  DELETE FROM jobforge_watchdogs WHERE last_sign_at < jobforge_now() - interval '1 day' AND id <> $1
)
INSERT INTO jobforge_watchdogs (id, started_at, last_sign_at, check_interval_ms, guard, guard_until)
VALUES ($1, jobforge_now(), jobforge_now(), $2, $3, $4)
ON CONFLICT (id) DO UPDATE
SET last_sign_at = excluded.last_sign_at,
    check_interval_ms = excluded.check_interval_ms,
    guard = excluded.guard,
    guard_until = excluded.guard_until
