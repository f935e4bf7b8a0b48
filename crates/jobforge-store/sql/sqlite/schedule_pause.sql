-- Pauses a schedule, or lets it go on with its next moment.
-- ?1 name, ?2 since when (null: not paused), ?3 by whom, ?4 why, ?5 until when, ?6 next moment, ?7 when it is due, ?8 now,
-- ?9 who does it
-- Index: primary key.
UPDATE jobforge_schedules
SET
    paused_at = ?2,
    paused_by = ?3,
    pause_reason = ?4,
    paused_until = ?5,
    next_at = ?6,
    due_at = ?7,
    planned_at = ?8,
    fresh_at = CASE WHEN ?2 IS NULL THEN ?8 ELSE fresh_at END,
    version = version + 1,
    updated_at = ?8,
    updated_by = ?9
WHERE name = ?1;
