-- What a tick of the watchdog goes by. Scans the workers and the watchdogs, of which there are few.
SELECT jobforge_now() AS as_of,
       (SELECT max(last_sign_at) FROM jobforge_watchdogs) AS last_sign_at,
       count(*) AS active,
       count(*) FILTER (WHERE lease_expires_at < jobforge_now()) AS overdue
FROM jobforge_workers
WHERE state IN ('live', 'draining')
