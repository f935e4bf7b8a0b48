-- Jobs that may be claimed now by tenant, type and queue, and since when the oldest waits.
--
-- $1 look at most at so many, the first due first. Uses idx_jobforge_jobs_claim.
SELECT tenant_id, type, queue, count(*), min(run_at)
FROM (
  SELECT tenant_id, type, queue, run_at
  FROM jobforge_jobs
  WHERE status = 'queued' AND run_at <= jobforge_now()
  ORDER BY run_at
  LIMIT $1
) r
GROUP BY tenant_id, type, queue
