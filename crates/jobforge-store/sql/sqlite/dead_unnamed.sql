-- Dead jobs whose cause has no fingerprint yet.
-- ?1 at most so many
-- Index: idx_jobforge_jobs_dead.
SELECT
    id,
    type,
    error
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_dead
WHERE status = 'dead'
  AND dead_group IS NULL
LIMIT ?1;
