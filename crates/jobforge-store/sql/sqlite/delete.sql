-- Removes a job that does not run, and with it all that is kept of it.
-- ?1 id
-- Index: primary key.
DELETE FROM jobforge_jobs
WHERE id = ?1
  AND status <> 'running';
