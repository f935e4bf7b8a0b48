-- Ended jobs without the moment of their end, and others with one.
-- ?1 at most so many
SELECT id
FROM jobforge_jobs
WHERE (status IN ('succeeded', 'failed', 'dead', 'canceled')) <> (finished_at IS NOT NULL)
LIMIT ?1;
