-- Ids of a tenant's jobs that failed, died or were canceled, newest first.
-- ?1 which of these, ?2 before this id, or NULL, ?3 at most so many, ?4 tenant
-- Index: idx_jobforge_jobs_fallen_tenant, backwards.
SELECT id
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_fallen_tenant
WHERE (status = 'failed' OR status = 'dead' OR status = 'canceled')
  AND tenant_id = ?4
  AND status = ?1
  AND id < coalesce(?2, '~')
ORDER BY id DESC
LIMIT ?3;
