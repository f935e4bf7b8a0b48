-- Running jobs by tenant, type and queue.
--
-- $1 look at most at so many. Uses idx_jobforge_jobs_running.
SELECT tenant_id, type, queue, count(*)
FROM (
  SELECT tenant_id, type, queue
  FROM jobforge_jobs
  WHERE status = 'running' AND locked_by IS NOT NULL
  LIMIT $1
) r
GROUP BY tenant_id, type, queue
