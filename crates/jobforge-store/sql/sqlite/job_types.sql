-- Types that jobs ever had.
-- ?1 at most so many
-- Reads jobforge_kinds, which has a row for each kind and none for a job.
SELECT DISTINCT type
FROM jobforge_kinds
ORDER BY type
LIMIT ?1;
