-- How many jobs are in each status: those that have not ended, and those that ended since a moment. Counts stop at a cap,
-- which those that ended share: the latest count.
--
-- $1 tenant, $2 since, $3 cap. Uses idx_jobforge_jobs_claim, idx_jobforge_jobs_running and idx_jobforge_jobs_finished.
SELECT 'queued' AS status, count(*) FROM (
  SELECT FROM jobforge_jobs WHERE status = 'queued' AND ($1::text IS NULL OR tenant_id = $1) LIMIT $3) q
UNION ALL
SELECT 'running', count(*) FROM (
  SELECT FROM jobforge_jobs WHERE status = 'running' AND locked_by IS NOT NULL AND ($1::text IS NULL OR tenant_id = $1)
  LIMIT $3) r
UNION ALL
SELECT status, count(*) FROM (
  SELECT status FROM jobforge_jobs WHERE finished_at >= $2 AND ($1::text IS NULL OR tenant_id = $1)
  ORDER BY finished_at DESC LIMIT $3) e
GROUP BY status
