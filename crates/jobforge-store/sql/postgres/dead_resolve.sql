-- Notes that dead jobs need not run any more; returns those of which nobody had said so.
--
-- $1 ids, $2 by whom, $3 why. Uses the primary key.
UPDATE jobforge_jobs j
SET resolved_at = jobforge_now(),
    resolved_by = $2 ->> 'actor',
    resolution = $3,
    revision = j.revision + 1,
    updated_at = jobforge_now()
WHERE j.id = ANY ($1) AND j.status IS NOT DISTINCT FROM 'dead' AND j.resolved_at IS NULL
RETURNING j.id,
  jobforge_audit_add($2, 'job.resolve', j.id::text, j.tenant_id, NULL, jsonb_build_object('note', $3::text)::text)
