-- Running jobs of workers, the longest held first, with how many there are in all.
--
-- $1 workers, $2 limit. Uses idx_jobforge_jobs_running.
SELECT *, jobforge_now() AS as_of, count(*) OVER () AS company
FROM jobforge_jobs
WHERE status = 'running' AND locked_by = ANY ($1)
ORDER BY locked_at, id
LIMIT $2
