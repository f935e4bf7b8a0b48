-- Running jobs by type and tenant, and when the first of each began.
--
-- $1 look at most at so many. Uses idx_jobforge_jobs_running.
SELECT type, tenant_id, count(*), min(started_at)
FROM (
  SELECT type, tenant_id, started_at FROM jobforge_jobs WHERE status = 'running' AND locked_by IS NOT NULL LIMIT $1
) r
GROUP BY type, tenant_id
