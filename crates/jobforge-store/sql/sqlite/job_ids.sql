-- Ids of jobs, newest first.
-- ?1 before this id, or NULL, ?2 at most so many
-- Index: primary key, backwards.
SELECT id
FROM jobforge_jobs
WHERE id < coalesce(?1, '~')
ORDER BY id DESC
LIMIT ?2;
