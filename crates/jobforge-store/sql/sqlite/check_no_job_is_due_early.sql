-- Queued jobs that may be claimed by their mark though their time is more than a minute away, and was when they were
-- last moved. The opposite is no fault: a waiting job whose time has come is marked by the next claim.
-- ?1 at most so many, ?2 now
SELECT id
FROM jobforge_jobs
WHERE status = 'queued'
  AND due = 1
  AND run_at > max(?2, updated_at) + 60000000
LIMIT ?1;
