-- Entries that match, newest first.
--
-- $1 actor, $2 action or the beginning of it that ends in a point, $3 target, $4 tenant, $5 since, $6 before this number,
-- $7 limit, $8 only from this number on. Uses idx_jobforge_audit_target or the primary key.
SELECT id, at, actor, reason, request_id, address, action, target, tenant_id, before, after, place, hash
FROM jobforge_audit
WHERE ($1::text IS NULL OR actor = $1)
  AND ($2::text IS NULL OR action = $2 OR (right($2, 1) = '.' AND starts_with(action, $2)))
  AND ($3::text IS NULL OR target = $3)
  AND ($4::text IS NULL OR tenant_id = $4)
  AND ($5::timestamptz IS NULL OR at >= $5)
  AND ($6::bigint IS NULL OR id < $6)
  AND ($8::bigint IS NULL OR id >= $8)
ORDER BY id DESC
LIMIT $7
