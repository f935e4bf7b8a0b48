-- Lets a paused schedule run again from its next moment on; returns a row if it was paused.
--
-- $1 name, $2 next moment, $3 when it is due, $4 by whom. Uses the primary key.
WITH before AS MATERIALIZED (
  SELECT name, paused_until
  FROM jobforge_schedules
  WHERE name = $1 AND paused_at IS NOT NULL
  FOR UPDATE
)
UPDATE jobforge_schedules s
SET paused_at = NULL,
    paused_by = NULL,
    pause_reason = NULL,
    paused_until = NULL,
    next_at = $2,
    due_at = $3,
    planned_at = jobforge_now(),
    fresh_at = jobforge_now(),
    version = s.version + 1,
    updated_at = jobforge_now(),
    updated_by = $4 ->> 'actor'
FROM before b
WHERE s.name = b.name
RETURNING jobforge_audit_add($4, 'schedule.resume', s.name, s.tenant_id,
  jsonb_build_object('paused', true, 'until', b.paused_until)::text, jsonb_build_object('paused', false)::text),
  pg_notify('jobforge', 'everything:')
