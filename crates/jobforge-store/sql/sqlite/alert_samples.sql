-- What processes told behind a moment and a process, oldest first.
-- ?1 the moment, ?2 the process, ?3 how many
-- Index: primary key.
SELECT process, at, series
FROM jobforge_samples
WHERE (at, process) > (?1, ?2)
ORDER BY at, process
LIMIT ?3;
