-- The head of the chain, and entries that are not sealed yet, oldest first.
--
-- $1 limit. Uses jobforge_audit_place_key and idx_jobforge_audit_unsealed.
SELECT u.*, h.place AS head_place, h.hash AS head_hash
FROM (
  SELECT id, at, actor, reason, request_id, address, action, target, tenant_id, before, after, place, hash
  FROM jobforge_audit
  WHERE place IS NULL
  ORDER BY id
  LIMIT $1
) u
LEFT JOIN LATERAL (
  SELECT place, hash
  FROM jobforge_audit
  WHERE place IS NOT NULL
  ORDER BY place DESC
  LIMIT 1
) h ON true
ORDER BY u.id
