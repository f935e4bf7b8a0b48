-- Dead jobs, newest first, of any cause and tenant.
-- ?1 cause, ?2 tenant, ?3 type, ?4 queue (each NULL for all), ?5 whether resolved jobs are listed, ?6 before this id,
-- ?7 at most so many
-- Index: idx_jobforge_jobs_dead_newest, backwards.
SELECT jobforge_jobs.*
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_dead_newest
WHERE status = 'dead'
  AND (?1 IS NULL OR dead_group = ?1)
  AND (?2 IS NULL OR tenant_id = ?2)
  AND (?3 IS NULL OR type = ?3)
  AND (?4 IS NULL OR queue = ?4)
  AND (?5 OR resolved_at IS NULL)
  AND id < coalesce(?6, '~')
ORDER BY id DESC
LIMIT ?7;
