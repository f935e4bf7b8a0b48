-- How many schedules there are, and how many of them are paused.
-- ?1 now
-- Scans the schedules without reading their definitions.
SELECT
    count(*),
    count(*) FILTER (WHERE paused_at IS NOT NULL AND coalesce(paused_until > ?1, true))
FROM jobforge_schedules;
