-- Schedules that may be in trouble, the longest without a success first: late by more than $2 ms, with failures in a row, or
-- stale. Which of it is true, the caller decides.
--
-- $1 how many. Scans the schedules without reading their definitions.
SELECT *
FROM jobforge_schedules
WHERE (paused_at IS NULL OR paused_until <= jobforge_now())
  AND (
    due_at < jobforge_now() - $2::bigint * interval '1 ms'
    OR consecutive_failures > 0
    OR greatest(fresh_at, paused_until) < jobforge_now() - stale_after_ms * interval '1 ms'
  )
ORDER BY fresh_at, name
LIMIT $1
