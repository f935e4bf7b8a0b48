-- Ends a silence that has not ended; returns a row if there was one.
--
-- $1 id, $2 by whom. Uses the primary key.
UPDATE jobforge_silences
SET until = jobforge_now()
WHERE id = $1 AND until > jobforge_now()
RETURNING jobforge_audit_add($2, 'alert.unsilence', id::text, NULL,
  jsonb_build_object('rule', rule, 'labels', labels::jsonb)::text, NULL)
