-- Marks an active worker as gone in good order.
-- ?1 worker, ?2 now, ?3 reason
-- Index: primary key.
UPDATE jobforge_workers
SET
    state = 'gone',
    ended_at = ?2,
    end_reason = ?3
WHERE id = ?1
  AND state IN ('live', 'draining');
