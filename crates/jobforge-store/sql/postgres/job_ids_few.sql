-- Ids of the jobs in statuses that are no success, in no order.
--
-- $1 statuses, $2 limit. Uses idx_jobforge_jobs_claim, idx_jobforge_jobs_running and idx_jobforge_jobs_fallen.
SELECT id FROM (
  (SELECT id FROM jobforge_jobs WHERE status = 'queued' AND 'queued' = ANY ($1::text[]) LIMIT $2)
  UNION ALL
  (SELECT id FROM jobforge_jobs WHERE status = 'running' AND locked_by IS NOT NULL AND 'running' = ANY ($1) LIMIT $2)
  UNION ALL
  (
    SELECT found.id
    FROM (SELECT DISTINCT word FROM unnest($1) word) wanted
    CROSS JOIN LATERAL (
      SELECT id
      FROM jobforge_jobs
      WHERE status = wanted.word AND status IN ('failed', 'dead', 'canceled')
      LIMIT $2
    ) found
    LIMIT $2
  )
) few
LIMIT $2
