-- Marks one queued job as waiting if its time has not come.
-- ?1 id, ?2 now
-- Index: primary key.
UPDATE jobforge_jobs
SET due = 0
WHERE id = ?1
  AND status = 'queued'
  AND due = 1
  AND run_at > ?2;
