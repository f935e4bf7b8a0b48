-- What operators did, what became of schedules, and what the watchdog did, beside the jobs of fill_postgres.sql.
INSERT INTO jobforge_audit (at, actor, reason, action, target, tenant_id, before, after)
SELECT now() - n * interval '20 s', 'person-' || n % 40, 'because of incident ' || n,
       (ARRAY['job.cancel', 'job.retry', 'queue.pause', 'settings.change', 'job.delete'])[n % 5 + 1],
       'target-' || n % 5000, CASE WHEN n % 3 = 0 THEN 'big' END, '{"status":"dead"}', '{"status":"queued"}'
FROM generate_series(100000, 1, -1) n;
INSERT INTO jobforge_schedule_runs (schedule, planned_for, line, outcome, recorded_at, job_id, status, finished_at, duration_ms)
SELECT s.name, now() - n * interval '10 min', 501 - n, CASE WHEN n % 50 = 0 THEN 'missed' ELSE 'ran' END,
       now() - n * interval '10 min', CASE WHEN n % 50 > 0 THEN gen_random_uuid() END,
       CASE WHEN n % 50 = 0 THEN NULL WHEN n % 9 = 0 THEN 'failed' ELSE 'succeeded' END,
       CASE WHEN n % 50 > 0 THEN now() - n * interval '10 min' + interval '3 s' END, CASE WHEN n % 50 > 0 THEN 3000 END
FROM jobforge_schedules s
CROSS JOIN generate_series(1, 500) n;
UPDATE jobforge_schedules SET lines = 500, missed_runs = 10, consecutive_failures = CASE WHEN name LIKE '%7' THEN 3 ELSE 0 END;
INSERT INTO jobforge_watchdog_runs
  (watchdog, started_at, duration_ms, trigger, suspects, workers_lost, requeued, ended, lost_races, verdicts)
SELECT 'host-1', now() - n * interval '30 s', 7, 'interval', n % 7, 0, n % 7, 0, 0, '[]'
FROM generate_series(1000, 1, -1) n;
