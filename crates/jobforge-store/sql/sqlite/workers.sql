-- Workers that are active or ended lately, oldest first.
-- ?1 ended after
-- Scans the workers, of which there are few.
SELECT jobforge_workers.*
FROM jobforge_workers
WHERE ended_at IS NULL
   OR ended_at > ?1
ORDER BY started_at, id;
