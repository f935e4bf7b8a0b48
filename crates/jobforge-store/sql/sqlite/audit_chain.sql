-- Sealed entries behind a place, in the order of the chain.
-- ?1 place, ?2 limit
-- Index: place.
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
WHERE place > ?1
ORDER BY place
LIMIT ?2;
