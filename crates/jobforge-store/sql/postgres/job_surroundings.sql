-- What is known around a job: the clock, its queue's pause, how many live workers could run it, and what holds the
-- watchdogs' verdicts back: nothing while one of them is free.
--
-- $1 queue, $2 type, $3 milliseconds after which a silent watchdog may not watch any more.
WITH held AS (
  SELECT guard, guard_until
  FROM jobforge_watchdogs
  WHERE guard IS NOT NULL
    AND guard_until > jobforge_now()
    AND NOT EXISTS (
      SELECT 1
      FROM jobforge_watchdogs
      WHERE last_sign_at >= jobforge_now() - $3::bigint * interval '1 ms'
        AND (guard IS NULL OR guard_until <= jobforge_now())
    )
  ORDER BY last_sign_at DESC
  LIMIT 1
)
SELECT jobforge_now() AS as_of,
       (SELECT paused_at FROM jobforge_queues WHERE name = $1) AS paused_at,
       (SELECT guard FROM held) AS guard,
       (SELECT guard_until FROM held) AS guard_until,
       count(*) AS queue_workers,
       count(*) FILTER (WHERE types IS NULL OR $2 = ANY (types)) AS able_workers
FROM jobforge_workers
WHERE state = 'live' AND lease_expires_at > jobforge_now() AND $1 = ANY (queues)
