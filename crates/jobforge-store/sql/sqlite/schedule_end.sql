-- Notes with a schedule how one of its jobs has ended.
-- ?1 name, ?2 how, ?3 when, ?4 how long its last attempt took
-- Index: primary key.
UPDATE jobforge_schedules
SET
    last_status = CASE WHEN ?3 >= coalesce(last_finished_at, ?3) THEN ?2 ELSE last_status END,
    last_duration_ms = CASE WHEN ?3 >= coalesce(last_finished_at, ?3) THEN ?4 ELSE last_duration_ms END,
    last_finished_at = max(coalesce(last_finished_at, ?3), ?3),
    fresh_at = CASE WHEN ?2 = 'succeeded' THEN max(fresh_at, ?3) ELSE fresh_at END,
    last_success_at = CASE WHEN ?2 = 'succeeded' THEN max(coalesce(last_success_at, ?3), ?3) ELSE last_success_at END,
    consecutive_failures = CASE
        WHEN ?2 = 'succeeded' THEN 0
        WHEN ?2 IN ('failed', 'dead') AND ?3 > coalesce(last_success_at, ?3 - 1) THEN consecutive_failures + 1
        ELSE consecutive_failures
    END
WHERE name = ?1;
