-- Stores a sign of life of a watchdog.
-- ?1 watchdog, ?2 now, ?3 check interval in ms
-- Index: primary key.
INSERT INTO jobforge_watchdogs (id, started_at, last_sign_at, check_interval_ms)
VALUES (?1, ?2, ?2, ?3)
ON CONFLICT (id) DO UPDATE SET
    last_sign_at = excluded.last_sign_at,
    check_interval_ms = excluded.check_interval_ms;
