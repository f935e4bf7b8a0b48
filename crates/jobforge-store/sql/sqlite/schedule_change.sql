-- Changes what a schedule says, if it is still at the expected version.
-- ?1 name, ?2 expected version, ?3 tenant, ?4 definition, ?5 what was declared (null leaves it), ?6 next moment,
-- ?7 when it is due, ?8 now, ?9 by whom, ?10 without a success for how many ms it is stale,
-- ?11 the longest time in ms from one moment to the next
-- Index: primary key.
UPDATE jobforge_schedules
SET
    tenant_id = ?3,
    definition = ?4,
    declared = coalesce(?5, declared),
    next_at = ?6,
    due_at = ?7,
    planned_at = ?8,
    fresh_at = ?8,
    stale_after_ms = ?10,
    interval_ms = ?11,
    version = version + 1,
    updated_at = ?8,
    updated_by = ?9
WHERE name = ?1
  AND version = ?2;
