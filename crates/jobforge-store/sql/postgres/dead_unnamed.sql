-- Dead jobs whose cause has no fingerprint yet.
--
-- $1 limit. Uses idx_jobforge_jobs_unnamed.
SELECT id, type, error
FROM jobforge_jobs
WHERE status = 'dead' AND dead_group IS NULL
ORDER BY id
LIMIT $1
