-- Ids of jobs, newest first.
--
-- $1 only before this id or null, $2 limit. Walks the primary key backwards: ids are made in the order of time.
SELECT id
FROM jobforge_jobs
WHERE id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
ORDER BY id DESC
LIMIT $2
