-- When the next schedule is due.
-- Index: idx_jobforge_schedules_due.
SELECT due_at
FROM jobforge_schedules
WHERE due_at IS NOT NULL
ORDER BY due_at
LIMIT 1;
