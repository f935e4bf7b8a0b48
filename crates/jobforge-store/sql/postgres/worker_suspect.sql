-- Notes that active workers have lost their connection; returns those of whom it was not known.
--
-- $1 workers. Uses the primary key.
UPDATE jobforge_workers
SET suspect_at = jobforge_now()
WHERE id = ANY ($1) AND state IN ('live', 'draining') AND suspect_at IS NULL
RETURNING id
