-- Running jobs without an owner, and owned jobs that do not run.
-- ?1 at most so many
SELECT id
FROM jobforge_jobs
WHERE (status = 'running') <> (locked_by IS NOT NULL)
   OR (status = 'running') <> (locked_at IS NOT NULL)
LIMIT ?1;
