-- Notes how many jobs the process of a dead worker was running.
-- ?1 worker, ?2 jobs
-- Index: primary key.
UPDATE jobforge_workers
SET died_with = ?2
WHERE id = ?1;
