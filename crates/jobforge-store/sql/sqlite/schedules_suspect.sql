-- Schedules that may be in trouble, the longest without a success first: due before a moment, with failures in a row, or
-- stale. Which of it is true, the caller decides.
-- ?1 now, ?2 that moment, ?3 how many
-- Scans the schedules without reading their definitions.
SELECT *
FROM jobforge_schedules
WHERE (paused_at IS NULL OR paused_until <= ?1)
  AND (
    due_at < ?2
    OR consecutive_failures > 0
    OR max(fresh_at, coalesce(paused_until, fresh_at)) < ?1 - stale_after_ms * 1000
  )
ORDER BY fresh_at, name
LIMIT ?3;
