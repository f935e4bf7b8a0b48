-- One schedule, held until the transaction ends, with the clock.
--
-- $1 name. Uses the primary key.
SELECT *, jobforge_now() AS as_of
FROM jobforge_schedules
WHERE name = $1
FOR UPDATE
