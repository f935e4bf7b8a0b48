-- Ids of queued jobs.
-- ?1 at most so many
-- Index: idx_jobforge_jobs_claim and idx_jobforge_jobs_scheduled.
SELECT id
FROM (
    SELECT id
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
    WHERE status = 'queued'
      AND due = 1
    UNION ALL
    SELECT id
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_scheduled
    WHERE status = 'queued'
      AND due = 0
)
LIMIT ?1;
