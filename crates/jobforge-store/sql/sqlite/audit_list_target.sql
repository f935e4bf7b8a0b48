-- Entries about one target that match, newest first.
-- ?1 actor, ?2 action or the beginning of it that ends in a point, ?3 target, ?4 tenant, ?5 since, ?6 before this number,
-- ?7 limit, ?8 only from this number on
-- Index: idx_jobforge_audit_target.
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
FROM jobforge_audit INDEXED BY idx_jobforge_audit_target
WHERE target = ?3
  AND (?1 IS NULL OR actor = ?1)
  AND (?2 IS NULL OR action = ?2 OR (substr(?2, -1) = '.' AND substr(action, 1, length(?2)) = ?2))
  AND (?4 IS NULL OR tenant_id = ?4)
  AND (?5 IS NULL OR at >= ?5)
  AND id < coalesce(?6, 9223372036854775807)
  AND id >= coalesce(?8, 0)
ORDER BY id DESC
LIMIT ?7;
