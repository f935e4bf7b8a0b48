-- Changes what a schedule says, if it is still at the expected version; returns a row if so.
--
-- $1 name, $2 expected version, $3 tenant, $4 definition, $5 what was declared (null leaves it), $6 next moment,
-- $7 when it is due, $8 by whom, $9 without a success for how many ms it is stale, $10 the longest time in
-- ms from one moment to the next. Uses the primary key.
WITH before AS MATERIALIZED (
  SELECT name, definition
  FROM jobforge_schedules
  WHERE name = $1 AND version = $2
  FOR UPDATE
)
UPDATE jobforge_schedules s
SET tenant_id = $3,
    definition = $4,
    declared = coalesce($5, s.declared),
    next_at = $6,
    due_at = $7,
    planned_at = jobforge_now(),
    fresh_at = jobforge_now(),
    stale_after_ms = $9,
    interval_ms = $10,
    version = s.version + 1,
    updated_at = jobforge_now(),
    updated_by = $8 ->> 'actor'
FROM before b
WHERE s.name = b.name
RETURNING jobforge_audit_add($8, 'schedule.change', s.name, s.tenant_id, b.definition::text, s.definition::text),
  pg_notify('jobforge', 'everything:')
