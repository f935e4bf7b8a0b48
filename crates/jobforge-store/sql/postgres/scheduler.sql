-- Who fires schedules, with the clock.
SELECT leader, lease_until, last_tick_at, jobforge_now()
FROM jobforge_scheduler
