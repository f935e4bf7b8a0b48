-- Ids of a tenant's jobs that failed, died or were canceled, newest first.
--
-- $1 which of these, $2 tenant, $3 only before this id or null, $4 limit. Uses idx_jobforge_jobs_fallen_tenant.
SELECT found.id
FROM (SELECT DISTINCT word FROM unnest($1::text[]) word) wanted
CROSS JOIN LATERAL (
  SELECT id
  FROM jobforge_jobs
  WHERE tenant_id = $2
    AND status = wanted.word
    AND status IN ('failed', 'dead', 'canceled')
    AND id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  ORDER BY id DESC
  LIMIT $4
) found
ORDER BY found.id DESC
LIMIT $4
