-- Active workers whose lease has run out, the longest overdue first.
-- ?1 now, ?2 at most
-- Scans the workers, of which there are few.
SELECT
    id,
    last_heartbeat_at
FROM jobforge_workers
WHERE state IN ('live', 'draining')
  AND lease_expires_at < ?1
ORDER BY lease_expires_at, id
LIMIT ?2;
