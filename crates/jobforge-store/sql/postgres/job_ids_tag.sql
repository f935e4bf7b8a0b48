-- Ids of the jobs with a tag, newest first.
--
-- $1 tag, $2 only before this id or null, $3 limit. Uses idx_jobforge_tagged.
SELECT id
FROM jobforge_tagged
WHERE tag = $1 AND id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
ORDER BY id DESC
LIMIT $3
