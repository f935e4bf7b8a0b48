-- Ids of the jobs of a tenant, type or queue, newest first.
--
-- $1 tenant, $2 type, $3 queue (each null for any), $4 only before this id or null, $5 limit. Uses idx_jobforge_listed.
-- The newest so many ids are of kinds whose newest id is among the newest so many, so no other kind is read further.
WITH heads AS MATERIALIZED (
  SELECT k.kind
  FROM jobforge_kinds k
  CROSS JOIN LATERAL (
    SELECT l.id
    FROM jobforge_listed l
    WHERE l.kind = k.kind AND l.id < coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    ORDER BY l.id DESC
    LIMIT 1
  ) head
  WHERE ($1::text IS NULL OR k.tenant_id = $1)
    AND ($2::text IS NULL OR k.type = $2)
    AND ($3::text IS NULL OR k.queue = $3)
  ORDER BY head.id DESC
  LIMIT $5
)
SELECT found.id
FROM heads
CROSS JOIN LATERAL (
  SELECT l.id
  FROM jobforge_listed l
  WHERE l.kind = heads.kind AND l.id < coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  ORDER BY l.id DESC
  LIMIT $5
) found
ORDER BY found.id DESC
LIMIT $5
