-- Every worker that is active or ended within the last day, newest first.
--
-- $1 limit.
SELECT *
FROM jobforge_workers
WHERE state IN ('live', 'draining') OR ended_at > jobforge_now() - interval '1 day'
ORDER BY started_at DESC, id
LIMIT $1
