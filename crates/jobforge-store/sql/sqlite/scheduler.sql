-- Who fires schedules.
SELECT
    leader,
    lease_until,
    last_tick_at
FROM jobforge_scheduler;
