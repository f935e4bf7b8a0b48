-- Begins a silence, and forgets those that ended long ago; returns it.
--
-- $1 id, $2 rule, $3 labels, $4 for how many ms, $5 by whom, $6 for how many ms one that is over is kept.
WITH gone AS (
  DELETE FROM jobforge_silences
  WHERE until < jobforge_now() - $6::bigint * interval '1 ms'
)
INSERT INTO jobforge_silences (id, rule, labels, until, created_at, created_by, reason)
VALUES ($1, $2, $3, jobforge_now() + $4::bigint * interval '1 ms', jobforge_now(), $5 ->> 'actor', $5 ->> 'reason')
RETURNING id, rule, labels, until, created_at, created_by, reason,
  jobforge_audit_add($5, 'alert.silence', id::text, NULL, NULL,
    jsonb_build_object('rule', rule, 'labels', labels::jsonb, 'until', until)::text)
