-- Gives the turn on an operation.
-- ?1 id, ?2 to whom, ?3 until when
-- Index: primary key.
UPDATE jobforge_operations
SET
    turn_of = ?2,
    turn_until = ?3
WHERE id = ?1;
