-- Notes that a dead job need not run any more, unless somebody had said so; gives its tenant.
-- ?1 id, ?2 now, ?3 who says so, ?4 why
-- Index: primary key.
UPDATE jobforge_jobs
SET
    resolved_at = ?2,
    resolved_by = ?3,
    resolution = ?4,
    updated_at = ?2
WHERE id = ?1
  AND status = 'dead'
  AND resolved_at IS NULL
RETURNING tenant_id;
