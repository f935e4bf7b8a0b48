-- How many live workers take from a queue, and how many of them know a type.
-- ?1 queue, ?2 type, ?3 now
-- Scans the workers, of which there are few.
SELECT
    count(*),
    count(*) FILTER (WHERE types IS NULL OR EXISTS (SELECT 1 FROM json_each(types) WHERE value = ?2))
FROM jobforge_workers
WHERE state = 'live'
  AND lease_expires_at > ?3
  AND EXISTS (SELECT 1 FROM json_each(queues) WHERE value = ?1);
