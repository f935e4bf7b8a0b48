-- What is known around a job: the clock, its queue's pause, and how many live workers could run it.
--
-- $1 queue, $2 type.
SELECT jobforge_now() AS as_of,
       (SELECT paused_at FROM jobforge_queues WHERE name = $1) AS paused_at,
       count(*) AS queue_workers,
       count(*) FILTER (WHERE types IS NULL OR $2 = ANY (types)) AS able_workers
FROM jobforge_workers
WHERE state = 'live' AND lease_expires_at > jobforge_now() AND $1 = ANY (queues)
