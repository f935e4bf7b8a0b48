-- Forgets operations that ended long ago.
-- ?1 ended before, ?2 at most so many
-- Scans the operations, of which there are few.
DELETE FROM jobforge_operations
WHERE rowid IN (
    SELECT rowid
    FROM jobforge_operations
    WHERE finished_at < ?1
    LIMIT ?2
);
