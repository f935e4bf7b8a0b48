-- Records one run of a watchdog.
--
-- $1 watchdog, $2 started at, $3 duration in ms, $4 trigger, $5 guard, $6 suspects, $7 workers lost, $8 requeued,
-- $9 ended, $10 lost races, $11 verdicts, $12 error.
INSERT INTO jobforge_watchdog_runs
  (watchdog, started_at, duration_ms, trigger, guard, suspects, workers_lost, requeued, ended, lost_races, verdicts, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
