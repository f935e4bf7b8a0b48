-- The clock, how many schedules there are, and how many of them are paused.
--
-- Scans the schedules without reading their definitions.
SELECT jobforge_now(), count(*), count(*) FILTER (WHERE paused_at IS NOT NULL AND coalesce(paused_until > jobforge_now(), true))
FROM jobforge_schedules
