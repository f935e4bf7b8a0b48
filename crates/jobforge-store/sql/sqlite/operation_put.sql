-- Begins an operation.
-- ?1 id, ?2 action, ?3 filter, ?4 whether it only counts, ?5 by whom, ?6 now
INSERT INTO jobforge_operations (id, action, filter, dry_run, state, by, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, 'running', ?5, ?6, ?6);
