-- Dead jobs whose cause has no fingerprint yet.
--
-- $1 limit. Uses idx_jobforge_jobs_dead.
SELECT id, type, error
FROM jobforge_jobs
WHERE status = 'dead' AND dead_group IS NULL
LIMIT $1
