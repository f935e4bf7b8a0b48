-- Gives every active worker a whole lease from now, never a shorter one than it has.
UPDATE jobforge_workers
SET lease_expires_at = jobforge_now() + granted_ms * interval '1 ms'
WHERE state IN ('live', 'draining') AND lease_expires_at < jobforge_now() + granted_ms * interval '1 ms'
RETURNING id
