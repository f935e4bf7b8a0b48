-- How many jobs of a tenant are in a status that few are in, and how many of them have ended since a moment.
-- ?1 tenant, ?2 status, ?3 since, ?4 count at most so many, the newest first
-- Index: idx_jobforge_jobs_fallen_tenant alone, backwards.
SELECT
    count(*),
    count(*) FILTER (WHERE finished_at > ?3)
FROM (
    SELECT finished_at
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_fallen_tenant
    WHERE tenant_id = ?1
      AND status = ?2
      AND (status = 'failed' OR status = 'dead' OR status = 'canceled')
    ORDER BY id DESC
    LIMIT ?4
);
