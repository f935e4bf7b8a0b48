-- The runbooks' job_dlq: the dead jobs, which are the dead-letter queue, each once.
--
-- The order stands here because a condition on the status would hide from the planner that the newest are asked for.
CREATE VIEW job_dlq WITH (security_barrier) AS
SELECT j.id,
       j.id AS job_id,
       j.type AS job_type,
       j.payload,
       coalesce(j.error ->> 'message', 'no reason was stored') AS failure_reason,
       j.error ->> 'kind' AS failure_code,
       j.attempts AS attempt_count,
       j.max_attempts AS max_retries,
       j.started_at AS last_attempt_at,
       CASE WHEN j.resolved_at IS NULL THEN 'pending' ELSE 'resolved' END AS status,
       j.error -> 'details' AS metadata,
       j.tenant_id AS organisation_id,
       j.created_by,
       j.resolved_by,
       j.resolved_at,
       j.resolution AS resolution_notes,
       j.finished_at AS created_at,
       j.updated_at
FROM jobforge_jobs j
WHERE j.status = 'dead'
  AND (j.tenant_id = (SELECT jobforge_tenant()) OR (SELECT jobforge_is_trusted(current_user)))
ORDER BY j.finished_at DESC
