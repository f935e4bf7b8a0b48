-- Marks workers as lost whose lease has run out; returns their ids.
UPDATE jobforge_workers
SET state = 'lost',
    ended_at = jobforge_now(),
    end_reason = 'not heard for ' || round(extract(epoch FROM jobforge_now() - last_heartbeat_at)) || ' s'
WHERE state IN ('live', 'draining') AND lease_expires_at < jobforge_now()
RETURNING id
