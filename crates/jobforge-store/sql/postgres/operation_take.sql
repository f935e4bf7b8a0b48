-- Gives the turn on the oldest operation that nobody goes on with.
--
-- $1 to whom, $2 for how many ms. Uses idx_jobforge_operations_running.
UPDATE jobforge_operations
SET turn_of = $1,
    turn_until = jobforge_now() + $2 * interval '1 ms'
WHERE id = (
  SELECT id
  FROM jobforge_operations
  WHERE state = 'running' AND (turn_until IS NULL OR turn_until <= jobforge_now())
  ORDER BY created_at
  LIMIT 1
  FOR UPDATE SKIP LOCKED
)
RETURNING id, action, filter, dry_run, state, done, passed_over, cursor, by, error, created_at, updated_at, finished_at
