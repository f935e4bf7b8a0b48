-- Operations, newest first.
--
-- $1 tenant, $2 limit.
SELECT id, action, filter, dry_run, state, done, passed_over, cursor, by, error, created_at, updated_at, finished_at
FROM jobforge_operations
WHERE $1::text IS NULL OR filter ->> 'tenant_id' = $1
ORDER BY created_at DESC, id DESC
LIMIT $2
