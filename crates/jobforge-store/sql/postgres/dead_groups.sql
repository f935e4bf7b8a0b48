-- The causes of dead jobs, the most frequent first, with counts that stop at a cap.
--
-- $1 tenant or null for all, $2 queue or null for all, $3 whether resolved jobs count, $4 cap of counts, $5 limit, $6 cause or
-- null for all, $7 only those of which a job died since, or null, $8 only so many that killed last, or null.
-- Leaps through idx_jobforge_jobs_dead from cause to cause.
WITH RECURSIVE cause AS (
  (SELECT coalesce($6::text, (SELECT min(dead_group) FROM jobforge_jobs WHERE status = 'dead' AND dead_group IS NOT NULL)) AS name)
  UNION ALL
  SELECT (SELECT min(j.dead_group) FROM jobforge_jobs j WHERE j.status = 'dead' AND j.dead_group > cause.name)
  FROM cause
  WHERE cause.name IS NOT NULL
    AND $6::text IS NULL
), told AS MATERIALIZED (
  SELECT cause.name
  FROM cause
  CROSS JOIN LATERAL (
    SELECT max(j.finished_at) AS last_at FROM jobforge_jobs j WHERE j.status = 'dead' AND j.dead_group = cause.name
  ) died
  WHERE cause.name IS NOT NULL
    AND ($7::timestamptz IS NULL OR died.last_at >= $7)
  ORDER BY died.last_at DESC
  LIMIT $8
)
SELECT told.name, died.jobs, died.first_at, died.last_at, sample.id, sample.type, sample.error
FROM told
CROSS JOIN LATERAL (
  SELECT count(*) AS jobs, min(finished_at) AS first_at, max(finished_at) AS last_at
  FROM (
    SELECT finished_at
    FROM jobforge_jobs j
    WHERE j.status = 'dead'
      AND j.dead_group = told.name
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
    AND j.dead_group = told.name
    AND ($1::text IS NULL OR j.tenant_id = $1)
    AND ($2::text IS NULL OR j.queue = $2)
    AND ($3::boolean OR j.resolved_at IS NULL)
  ORDER BY j.finished_at DESC
  LIMIT 1
) sample
WHERE died.jobs > 0
ORDER BY died.jobs DESC, died.last_at DESC, told.name
LIMIT $5
