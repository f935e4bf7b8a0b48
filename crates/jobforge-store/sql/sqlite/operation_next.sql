-- The oldest operation that nobody goes on with.
-- ?1 now
-- Index: idx_jobforge_operations_running.
SELECT id
FROM jobforge_operations
WHERE state = 'running'
  AND (turn_until IS NULL OR turn_until <= ?1)
ORDER BY created_at
LIMIT 1;
