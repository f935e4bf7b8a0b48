-- Marks workers as lost whose lease has run out, the longest overdue first; returns their ids.
--
-- $1 at most.
UPDATE jobforge_workers
SET state = 'lost',
    ended_at = jobforge_now(),
    end_reason = 'not heard for ' || round(extract(epoch FROM jobforge_now() - last_heartbeat_at)) || ' s'
WHERE id = ANY (ARRAY(
    SELECT id
    FROM jobforge_workers
    WHERE state IN ('live', 'draining') AND lease_expires_at < jobforge_now()
    ORDER BY lease_expires_at, id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
  ))
  AND state IN ('live', 'draining') AND lease_expires_at < jobforge_now()
RETURNING id
