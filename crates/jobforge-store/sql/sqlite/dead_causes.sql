-- The fingerprint after the given one.
-- ?1 fingerprint
-- Index: idx_jobforge_jobs_dead, leaping over all jobs of a cause.
SELECT dead_group
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_dead
WHERE status = 'dead'
  AND dead_group > ?1
ORDER BY dead_group
LIMIT 1;
