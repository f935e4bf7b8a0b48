-- Entries that are not sealed yet, oldest first.
-- ?1 limit
-- Index: idx_jobforge_audit_unsealed.
SELECT
    id,
    at,
    actor,
    reason,
    request_id,
    address,
    action,
    target,
    tenant_id,
    before,
    after,
    place,
    hash
FROM jobforge_audit
WHERE place IS NULL
ORDER BY id
LIMIT ?1;
