-- What a tick of the watchdog goes by. Scans the workers and the watchdogs, of which there are few.
SELECT jobforge_now() AS as_of,
       (SELECT max(last_sign_at) FROM jobforge_watchdogs) AS last_sign_at,
       (SELECT count(*) FROM jobforge_workers WHERE state IN ('live', 'draining')) AS active,
       (SELECT count(*) FROM jobforge_workers WHERE state IN ('live', 'draining') AND lease_expires_at < jobforge_now())
         AS overdue,
       -- Workers by SQL (pid 0) need not say that they leave.
       (SELECT count(*) FROM jobforge_workers WHERE state IN ('live', 'draining')
          AND lease_expires_at - CASE WHEN pid = 0 THEN interval '0' ELSE granted_ms * interval '0.5 ms' END < jobforge_now())
         AS silent,
       f.least_lease_ms,
       f.claims_from,
       f.timeline <> jobforge_timeline() AS failed_over
FROM jobforge_fleet f
WHERE f.one
