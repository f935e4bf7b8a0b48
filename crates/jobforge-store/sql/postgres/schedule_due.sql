-- Schedules that are due, the longest due first, held until the transaction ends. What another server fires just now is
-- passed over.
--
-- $1 by how many ms at least, $2 how many. Uses idx_jobforge_schedules_due.
SELECT *, jobforge_now() AS as_of
FROM jobforge_schedules
WHERE due_at IS NOT NULL AND due_at <= jobforge_now() - $1::bigint * interval '1 ms'
ORDER BY due_at
LIMIT $2
FOR UPDATE SKIP LOCKED
