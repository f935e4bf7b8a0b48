-- Adds a schedule, unless there is one of this name.
-- ?1 name, ?2 tenant, ?3 definition, ?4 source, ?5 what was declared, ?6 since when it is paused, ?7 by whom, ?8 why,
-- ?9 next moment, ?10 when it is due, ?11 now, ?12 by whom it is made, ?13 without a success for
-- how many ms it is stale, ?14 the longest time in ms from one moment to the next
-- Index: primary key.
INSERT INTO jobforge_schedules (
    name,
    tenant_id,
    definition,
    source,
    declared,
    paused_at,
    paused_by,
    pause_reason,
    next_at,
    due_at,
    planned_at,
    fresh_at,
    stale_after_ms,
    interval_ms,
    created_at,
    created_by,
    updated_at,
    updated_by
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?13, ?14, ?11, ?12, ?11, ?12)
ON CONFLICT DO NOTHING;
