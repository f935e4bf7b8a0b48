-- The runbooks' qc_jobs: every job, in their words, a tenant's own or all for a trusted role.
--
-- One branch a status, so that a condition on the status leads to the index of that status.
CREATE VIEW qc_jobs WITH (security_barrier) AS
SELECT (job).id,
       (job).tenant_id AS organisation_id,
       coalesce((job).payload ->> 'file_name', (job).payload ->> 'fileName',
                regexp_replace(coalesce((job).payload ->> 'source_path', (job).payload ->> 'path', (job).payload ->> 'url'), '^.*/', ''),
                (job).type) AS file_name,
       word AS status,
       (job).type AS qc_type,
       coalesce((job).payload ->> 'source_path', (job).payload ->> 'path', (job).payload ->> 'url') AS source_path,
       CASE word WHEN 'completed' THEN 100 ELSE coalesce((job).progress, 0) END AS progress,
       (job).phase,
       (job).error ->> 'message' AS error_message,
       (SELECT r.result FROM jobforge_job_results r WHERE r.job_id = (job).id) AS result,
       coalesce((job).locked_by, (job).last_worker) AS worker_id,
       (job).attempts,
       (job).heartbeat_at AS last_heartbeat_at,
       (job).created_at,
       (job).started_at,
       (job).finished_at AS completed_at,
       (job).updated_at
FROM (
  SELECT 'queued' AS word, j AS job FROM jobforge_jobs j WHERE j.status = 'queued'
  UNION ALL
  SELECT 'running', j FROM jobforge_jobs j WHERE j.status = 'running'
  UNION ALL
  SELECT 'completed', j FROM jobforge_jobs j WHERE j.status = 'succeeded'
  UNION ALL
  SELECT 'failed', j FROM jobforge_jobs j WHERE j.status IN ('failed', 'dead')
  UNION ALL
  SELECT 'cancelled', j FROM jobforge_jobs j WHERE j.status = 'canceled'
) words
WHERE (job).tenant_id = (SELECT jobforge_tenant()) OR (SELECT jobforge_is_trusted(current_user))
