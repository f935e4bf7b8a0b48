-- Running jobs by type and tenant, when the first of each began, and how many ms one may take at most.
--
-- $1 look at most at so many. Uses idx_jobforge_jobs_running.
SELECT type, tenant_id, count(*), min(started_at),
       (extract(epoch FROM max(deadline_at - started_at)) * 1000)::bigint
FROM (
  SELECT type, tenant_id, started_at, deadline_at
  FROM jobforge_jobs
  WHERE status = 'running' AND locked_by IS NOT NULL
  LIMIT $1
) r
GROUP BY type, tenant_id
