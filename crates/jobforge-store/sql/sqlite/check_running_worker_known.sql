-- Running jobs whose worker is not known.
-- ?1 at most so many
SELECT job.id
FROM jobforge_jobs AS job
LEFT JOIN jobforge_workers AS worker ON worker.id = job.locked_by
WHERE job.status = 'running'
  AND worker.id IS NULL
LIMIT ?1;
