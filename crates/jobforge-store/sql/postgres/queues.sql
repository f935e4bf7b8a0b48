-- Every queue that has jobs, is paused or is served, with counts that stop at a cap.
--
-- $1 cap. Reads the side tables and idx_jobforge_jobs_running; never scans jobforge_jobs.
-- Leaps through idx_jobforge_ready from lane to lane, for each begins with its oldest job.
WITH RECURSIVE lane AS (
  (SELECT queue, alone, priority, run_at FROM jobforge_ready ORDER BY queue, alone, priority, run_at LIMIT 1)
  UNION ALL
  SELECT next.queue, next.alone, next.priority, next.run_at
  FROM lane
  CROSS JOIN LATERAL (
    SELECT r.queue, r.alone, r.priority, r.run_at
    FROM jobforge_ready r
    WHERE (r.queue, r.alone, r.priority) > (lane.queue, lane.alone, lane.priority)
    ORDER BY r.queue, r.alone, r.priority, r.run_at
    LIMIT 1
  ) next
), named AS (
  SELECT queue AS name, min(run_at) AS oldest FROM lane GROUP BY queue
), scheduled AS (
  SELECT queue, count(*) FILTER (WHERE run_at > jobforge_now()) AS jobs, count(*) FILTER (WHERE run_at <= jobforge_now()) AS due, min(run_at) FILTER (WHERE run_at <= jobforge_now()) AS oldest
  FROM (SELECT queue, run_at FROM jobforge_scheduled ORDER BY run_at LIMIT $1) s
  GROUP BY queue
), running AS (
  SELECT queue, count(*) AS jobs
  FROM (SELECT queue FROM jobforge_jobs WHERE status = 'running' AND locked_by IS NOT NULL LIMIT $1) r
  GROUP BY queue
), every AS (
  SELECT name FROM named
  UNION
  SELECT queue FROM scheduled
  UNION
  SELECT queue FROM running
  UNION
  SELECT name FROM jobforge_queues WHERE paused_at IS NOT NULL
  UNION
  SELECT unnest(queues) FROM jobforge_workers WHERE state IN ('live', 'draining')
)
SELECT every.name,
       (SELECT count(*) FROM (SELECT FROM jobforge_ready r WHERE r.queue = every.name LIMIT $1) c) + coalesce(scheduled.due, 0) AS ready,
       coalesce(scheduled.jobs, 0) AS scheduled,
       coalesce(running.jobs, 0) AS running,
       least(scheduled.oldest, named.oldest) AS oldest,
       q.paused_at
FROM every
LEFT JOIN named ON named.name = every.name
LEFT JOIN scheduled ON scheduled.queue = every.name
LEFT JOIN running ON running.queue = every.name
LEFT JOIN jobforge_queues q ON q.name = every.name
ORDER BY every.name
