-- What fell of tenants' jobs: failed within the last hour, dead within it, and dead. Counts stop at a cap, the newest first.
--
-- $1 tenants, $2 cap. Uses idx_jobforge_jobs_fallen_tenant alone.
WITH moment AS MATERIALIZED (
  SELECT jobforge_now() - interval '1 hour' AS since
)
SELECT t.name, failed.lately, dead.lately, dead.jobs
FROM unnest($1::text[]) t (name)
CROSS JOIN moment
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE f.finished_at > moment.since) AS lately
  FROM (
    SELECT finished_at
    FROM jobforge_jobs
    WHERE tenant_id = t.name AND status = 'failed' AND status IN ('failed', 'dead', 'canceled')
    ORDER BY id DESC
    LIMIT $2
  ) f
) failed
CROSS JOIN LATERAL (
  SELECT count(*) AS jobs, count(*) FILTER (WHERE d.finished_at > moment.since) AS lately
  FROM (
    SELECT finished_at
    FROM jobforge_jobs
    WHERE tenant_id = t.name AND status = 'dead' AND status IN ('failed', 'dead', 'canceled')
    ORDER BY id DESC
    LIMIT $2
  ) d
) dead
