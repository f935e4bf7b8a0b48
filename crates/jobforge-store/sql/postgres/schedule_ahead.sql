-- Schedules whose next moment was reckoned on a clock that has been set back since, held until the transaction ends.
--
-- $1 how many.
SELECT *, jobforge_now() AS as_of
FROM jobforge_schedules
WHERE due_at IS NOT NULL AND planned_at > jobforge_now()
ORDER BY name
LIMIT $1
FOR UPDATE SKIP LOCKED
