-- What a tick of the watchdog goes by.
-- ?1 now
-- Scans the workers and the watchdogs, of which there are few.
SELECT
    (SELECT max(last_sign_at) FROM jobforge_watchdogs),
    count(*),
    count(*) FILTER (WHERE lease_expires_at < ?1),
    -- Half of a lease in microseconds.
    count(*) FILTER (WHERE lease_expires_at - granted_ms * 500 < ?1),
    (SELECT least_lease_ms FROM jobforge_fleet WHERE one = 1)
FROM jobforge_workers
WHERE state IN ('live', 'draining');
