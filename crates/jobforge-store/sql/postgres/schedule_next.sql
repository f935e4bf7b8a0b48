-- The clock, and when the next schedule is due.
--
-- Uses idx_jobforge_schedules_due.
SELECT jobforge_now(),
       (SELECT due_at FROM jobforge_schedules WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1)
