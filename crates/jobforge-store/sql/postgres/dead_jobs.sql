-- Lists dead jobs, newest first.
--
-- $1 cause, $2 tenant, $3 type, $4 queue (each null for all), $5 whether resolved jobs are listed, $6 only before this id,
-- $7 limit. Uses idx_jobforge_jobs_fallen, idx_jobforge_jobs_fallen_tenant, idx_jobforge_jobs_dead_listed or
-- idx_jobforge_jobs_dead_newest.
SELECT *
FROM jobforge_jobs
WHERE status = 'dead'
  AND ($1::text IS NULL OR dead_group = $1)
  AND ($2::text IS NULL OR tenant_id = $2)
  AND ($3::text IS NULL OR type = $3)
  AND ($4::text IS NULL OR queue = $4)
  AND ($5::boolean OR resolved_at IS NULL)
  AND ($6::uuid IS NULL OR id < $6)
ORDER BY id DESC
LIMIT $7
