-- When executions last succeeded, by name, the latest first.
-- ?1 at most so many
-- Reads a small table.
SELECT
    name,
    last_at
FROM jobforge_successes
ORDER BY last_at DESC
LIMIT ?1;
