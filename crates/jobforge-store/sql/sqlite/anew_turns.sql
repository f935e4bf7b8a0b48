-- Lets others go on at once with what was going on where the copy was made.
-- Index: idx_jobforge_operations_running.
UPDATE jobforge_operations
SET
    turn_of = NULL,
    turn_until = NULL
WHERE state = 'running';
