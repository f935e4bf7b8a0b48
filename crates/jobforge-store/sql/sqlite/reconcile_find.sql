-- Queued jobs that are marked as due before their time, as after a clock was set back or by raw SQL.
-- ?1 now, ?2 at most so many
-- Index: idx_jobforge_jobs_claim alone.
SELECT id
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
WHERE status = 'queued'
  AND due = 1
  AND run_at > ?1
LIMIT ?2;
