-- When executions last succeeded, by name, the latest first.
--
-- $1 at most so many. Reads a small table.
SELECT name, max(last_at) AS last_at
FROM jobforge_successes
GROUP BY name
ORDER BY last_at DESC
LIMIT $1
