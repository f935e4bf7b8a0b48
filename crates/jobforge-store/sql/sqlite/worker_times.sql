-- Gives every active worker a whole lease from now, also one that has more left: it was given by another clock.
-- ?1 now
-- Scans the workers, of which there are few.
UPDATE jobforge_workers
SET lease_expires_at = ?1 + granted_ms * 1000
WHERE state IN ('live', 'draining');
