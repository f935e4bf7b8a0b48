-- Marks a worker as gone in good order.
--
-- $1 id, $2 reason.
UPDATE jobforge_workers
SET state = 'gone',
    ended_at = jobforge_now(),
    end_reason = $2
WHERE id = $1 AND state IN ('live', 'draining')
