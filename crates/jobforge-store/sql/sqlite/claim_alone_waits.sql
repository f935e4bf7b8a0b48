-- Whether a queue has a claimable job that must run alone.
-- ?1 queue, ?2 types as a JSON list or NULL for all, ?3 the only tenant or NULL for all
-- Index: idx_jobforge_jobs_claim.
SELECT 1
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
WHERE status = 'queued'
  AND due = 1
  AND queue = ?1
  AND alone = 1
  AND (?2 IS NULL OR type IN (SELECT value FROM json_each(?2)))
  AND (?3 IS NULL OR tenant_id = ?3)
LIMIT 1;
