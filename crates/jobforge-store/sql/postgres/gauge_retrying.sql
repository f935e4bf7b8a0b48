-- Jobs that wait for another attempt, by queue.
--
-- $1 look at most at so many, the first due first. Uses idx_jobforge_scheduled.
SELECT queue, count(*)
FROM (SELECT queue, retrying, run_at FROM jobforge_scheduled ORDER BY run_at LIMIT $1) s
WHERE retrying AND run_at > jobforge_now()
GROUP BY queue
