-- Stores the fingerprint of a dead job's cause.
-- ?1 id, ?2 fingerprint
-- Index: primary key.
UPDATE jobforge_jobs
SET dead_group = ?2
WHERE id = ?1
  AND status = 'dead'
  AND dead_group IS NULL;
