-- Schedules that are due, the longest due first.
-- ?1 due by then, ?2 how many
-- Index: idx_jobforge_schedules_due.
SELECT *
FROM jobforge_schedules
WHERE due_at IS NOT NULL
  AND due_at <= ?1
ORDER BY due_at
LIMIT ?2;
