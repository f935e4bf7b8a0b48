-- Pauses a schedule, or says until when a paused one stays so; returns a row if that changed anything.
--
-- $1 name, $2 until when, $3 by whom. Uses the primary key.
WITH before AS MATERIALIZED (
  SELECT name, paused_at, paused_until
  FROM jobforge_schedules
  WHERE name = $1
  FOR UPDATE
)
UPDATE jobforge_schedules s
SET paused_at = coalesce(s.paused_at, jobforge_now()),
    paused_by = $3 ->> 'actor',
    pause_reason = $3 ->> 'reason',
    paused_until = $2,
    version = s.version + 1,
    updated_at = jobforge_now(),
    updated_by = $3 ->> 'actor'
FROM before b
WHERE s.name = b.name AND (b.paused_at IS NULL OR b.paused_until IS DISTINCT FROM $2)
RETURNING jobforge_audit_add($3, 'schedule.pause', s.name, s.tenant_id,
  jsonb_build_object('paused', b.paused_at IS NOT NULL, 'until', b.paused_until)::text,
  jsonb_build_object('paused', true, 'until', s.paused_until)::text)
