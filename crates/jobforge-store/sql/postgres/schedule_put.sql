-- Adds a schedule, unless there is one of this name; returns a row if it was added.
--
-- $1 name, $2 tenant, $3 definition, $4 source, $5 what was declared, $6 whether it begins paused, $7 next moment,
-- $8 when it is due, $9 by whom, $10 without a success for how many ms it is stale, $11 the
-- longest time in ms from one moment to the next. Uses the primary key.
INSERT INTO jobforge_schedules (name, tenant_id, definition, source, declared, paused_at, paused_by, pause_reason, next_at,
  due_at, planned_at, fresh_at, stale_after_ms, interval_ms, created_at, created_by, updated_at, updated_by)
VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN jobforge_now() END, CASE WHEN $6 THEN $9 ->> 'actor' END,
  CASE WHEN $6 THEN $9 ->> 'reason' END, $7, $8, jobforge_now(), jobforge_now(), $10, $11,
  jobforge_now(), $9 ->> 'actor', jobforge_now(), $9 ->> 'actor')
ON CONFLICT (name) DO NOTHING
RETURNING jobforge_audit_add($9, 'schedule.create', name, tenant_id, NULL, definition::text),
  pg_notify('jobforge', 'everything:')
