-- Removes a schedule with its history; returns a row if there was one.
--
-- $1 name, $2 by whom. Uses the primary key.
DELETE FROM jobforge_schedules
WHERE name = $1
RETURNING jobforge_audit_add($2, 'schedule.remove', name, tenant_id, definition::text, NULL)
