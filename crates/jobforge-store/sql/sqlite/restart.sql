-- Tells a worker to restart.
-- ?1 worker, ?2 now
-- Index: primary key.
UPDATE jobforge_workers
SET restart_at = ?2
WHERE id = ?1;
