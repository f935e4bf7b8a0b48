-- Ids of the jobs with a tag, newest first.
-- ?1 tag, ?2 before this id, or NULL, ?3 at most so many
-- Index: primary key of jobforge_tagged, backwards.
SELECT id
FROM jobforge_tagged
WHERE tag = ?1
  AND id < coalesce(?2, '~')
ORDER BY id DESC
LIMIT ?3;
