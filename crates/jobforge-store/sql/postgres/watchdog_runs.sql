-- The last runs of all watchdogs, newest first.
--
-- $1 limit. Uses idx_jobforge_watchdog_runs.
SELECT watchdog, started_at, duration_ms, trigger, guard, suspects, workers_lost, requeued, ended, lost_races, verdicts, error
FROM jobforge_watchdog_runs
ORDER BY started_at DESC, id DESC
LIMIT $1
