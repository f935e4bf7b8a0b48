-- Forgets runs of long ago.
-- ?1 started before
-- Index: idx_jobforge_watchdog_runs.
DELETE FROM jobforge_watchdog_runs
WHERE started_at < ?1;
