-- The causes of dead jobs, the most frequent first, with counts that stop at a cap.
--
-- $1 tenant or null for all, $2 queue or null for all, $3 whether resolved jobs count, $4 cap of counts, $5 limit.
-- Leaps through idx_jobforge_jobs_dead from cause to cause.
WITH RECURSIVE cause AS (
  (SELECT min(dead_group) AS name FROM jobforge_jobs WHERE status = 'dead' AND dead_group IS NOT NULL)
  UNION ALL
  SELECT (SELECT min(j.dead_group) FROM jobforge_jobs j WHERE j.status = 'dead' AND j.dead_group > cause.name)
  FROM cause
  WHERE cause.name IS NOT NULL
)
SELECT cause.name, died.jobs, died.first_at, died.last_at, sample.id, sample.type, sample.error
FROM cause
CROSS JOIN LATERAL (
  SELECT count(*) AS jobs, min(finished_at) AS first_at, max(finished_at) AS last_at
  FROM (
    SELECT finished_at
    FROM jobforge_jobs j
    WHERE j.status = 'dead'
      AND j.dead_group = cause.name
      AND ($1::text IS NULL OR j.tenant_id = $1)
      AND ($2::text IS NULL OR j.queue = $2)
      AND ($3::boolean OR j.resolved_at IS NULL)
    ORDER BY finished_at DESC
    LIMIT $4
  ) counted
) died
CROSS JOIN LATERAL (
  SELECT j.id, j.type, j.error
  FROM jobforge_jobs j
  WHERE j.status = 'dead'
    AND j.dead_group = cause.name
    AND ($1::text IS NULL OR j.tenant_id = $1)
    AND ($2::text IS NULL OR j.queue = $2)
    AND ($3::boolean OR j.resolved_at IS NULL)
  ORDER BY j.finished_at DESC
  LIMIT 1
) sample
WHERE died.jobs > 0
ORDER BY died.jobs DESC, died.last_at DESC, cause.name
LIMIT $5
