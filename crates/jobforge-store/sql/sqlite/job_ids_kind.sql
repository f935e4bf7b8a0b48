-- Ids of the jobs of a kind, newest first.
-- ?1 kind, ?2 before this id, or NULL, ?3 at most so many
-- Index: primary key of jobforge_listed, backwards.
SELECT id
FROM jobforge_listed
WHERE kind = ?1
  AND id < coalesce(?2, '~')
ORDER BY id DESC
LIMIT ?3;
