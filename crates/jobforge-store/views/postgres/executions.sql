-- The runbooks' executions: every job by the text of its id, with the worker that has it or had it last.
--
-- One branch a status, so that a condition on the status leads to the index of that status.
CREATE VIEW executions WITH (security_barrier) AS
SELECT (job).id::text AS execution_id,
       (job).type AS runtime,
       word AS status,
       (job).error ->> 'message' AS execution_error,
       coalesce((job).locked_by, (job).last_worker) AS worker_id,
       (SELECT w.hostname FROM jobforge_workers w WHERE w.id = coalesce((job).locked_by, (job).last_worker)) AS worker_hostname,
       greatest((job).attempts - 1, 0) AS retry_count,
       (job).max_attempts - 1 AS max_retries,
       (job).created_at,
       (job).started_at,
       (job).finished_at AS completed_at,
       extract(epoch FROM (job).finished_at - (job).started_at) AS duration_seconds,
       (job).payload AS user_metadata,
       (job).tenant_id
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
