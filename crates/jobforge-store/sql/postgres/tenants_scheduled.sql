-- Jobs that wait for their time by tenant, type and queue, and how many of them for another attempt.
--
-- $1 look at most at so many, the first due first. Uses idx_jobforge_jobs_claim.
SELECT tenant_id, type, queue, count(*), count(*) FILTER (WHERE queued_because IN ('retry', 'rescue'))
FROM (
  SELECT tenant_id, type, queue, queued_because
  FROM jobforge_jobs
  WHERE status = 'queued' AND run_at > jobforge_now()
  ORDER BY run_at
  LIMIT $1
) s
GROUP BY tenant_id, type, queue
