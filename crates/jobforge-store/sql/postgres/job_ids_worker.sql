-- Ids of the jobs that a worker holds, newest first.
--
-- $1 worker, $2 only before this id or null, $3 limit. Uses idx_jobforge_jobs_running.
SELECT id
FROM jobforge_jobs
WHERE status = 'running' AND locked_by = $1 AND (id < $2::uuid OR $2 IS NULL)
ORDER BY id DESC
LIMIT $3
