-- Ends an operation, if it is going on; gives what it had done.
-- ?1 id, ?2 now
-- Index: primary key.
UPDATE jobforge_operations
SET
    state = 'canceled',
    updated_at = ?2,
    finished_at = ?2
WHERE id = ?1
  AND state = 'running'
RETURNING
    done,
    filter ->> 'tenant_id';
