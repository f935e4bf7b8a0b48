-- Forgets runs of long ago, the oldest first.
-- ?1 started before, ?2 at most so many
-- Index: idx_jobforge_watchdog_runs.
DELETE FROM jobforge_watchdog_runs
WHERE id IN (
    SELECT id
    FROM jobforge_watchdog_runs
    WHERE started_at < ?1
    ORDER BY started_at
    LIMIT ?2
);
