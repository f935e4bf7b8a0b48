-- One operation.
--
-- $1 id. Uses the primary key.
SELECT id, action, filter, dry_run, state, done, passed_over, cursor, by, error, created_at, updated_at, finished_at
FROM jobforge_operations
WHERE id = $1
