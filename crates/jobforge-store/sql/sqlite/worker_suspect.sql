-- Notes that active workers have lost their connection; returns those of whom it was not known.
-- ?1 workers as a JSON list, ?2 now
-- Index: primary key.
UPDATE jobforge_workers
SET suspect_at = ?2
WHERE id IN (SELECT value FROM json_each(?1))
  AND state IN ('live', 'draining')
  AND suspect_at IS NULL
RETURNING id;
