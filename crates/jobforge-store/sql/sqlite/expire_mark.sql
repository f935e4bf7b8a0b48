-- Marks one worker as lost.
-- ?1 worker, ?2 now, ?3 reason
-- Index: primary key.
UPDATE jobforge_workers
SET
    state = 'lost',
    ended_at = ?2,
    end_reason = ?3
WHERE id = ?1;
