-- What lists go through, attempts and results of the jobs of fill_sqlite.sql.
INSERT INTO jobforge_kinds (tenant_id, type, queue) SELECT DISTINCT tenant_id, type, queue FROM jobforge_jobs;
INSERT INTO jobforge_listed (kind, id)
SELECT kinds.kind, job.id
FROM jobforge_jobs AS job
JOIN jobforge_kinds AS kinds ON kinds.tenant_id = job.tenant_id AND kinds.type = job.type AND kinds.queue = job.queue
ORDER BY kinds.kind, job.id;
INSERT INTO jobforge_tagged (tag, id)
SELECT tags.value, job.id FROM jobforge_jobs AS job CROSS JOIN json_each(job.tags) AS tags ORDER BY 1, 2;
INSERT INTO jobforge_job_attempts
    (id, job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at, error, created_at)
SELECT lower(hex(randomblob(16))), job.id, job.tenant_id, tries.value, tries.value, job.last_worker,
    iif(tries.value < job.attempts OR job.status = 'queued', 'retry', job.status), job.started_at,
    coalesce(job.finished_at, job.started_at + 2000000), job.error, coalesce(job.finished_at, job.started_at + 2000000)
FROM jobforge_jobs AS job
CROSS JOIN json_each(iif(job.attempts = 3, '[1, 2, 3]', '[1]')) AS tries
WHERE job.status IN ('failed', 'dead', 'canceled') OR (job.status = 'queued' AND job.attempts > 0);
INSERT INTO jobforge_job_results (id, job_id, tenant_id, result, created_at)
SELECT result_id, id, tenant_id, '{"frames": 1200, "ok": true}', finished_at FROM jobforge_jobs WHERE result_id IS NOT NULL;
-- What operators did, what became of schedules, and what the watchdog did.
WITH RECURSIVE number (n) AS (SELECT 100000 UNION ALL SELECT n - 1 FROM number WHERE n > 1)
INSERT INTO jobforge_audit (at, actor, reason, action, target, tenant_id, before, after)
SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) - n * 20000000, 'person-' || (n % 40), 'because of incident ' || n,
    json_extract('["job.cancel", "job.retry", "queue.pause", "settings.change", "job.delete"]', '$[' || (n % 5) || ']'),
    'target-' || (n % 5000), iif(n % 3 = 0, 'big', NULL), '{"status":"dead"}', '{"status":"queued"}'
FROM number;
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 500)
INSERT INTO jobforge_schedule_runs (schedule, planned_for, line, outcome, recorded_at, job_id, status, finished_at, duration_ms)
SELECT schedules.name, CAST(unixepoch('subsec') * 1000000 AS INTEGER) - n * 600000000, 501 - n,
    iif(n % 50 = 0, 'missed', 'ran'), CAST(unixepoch('subsec') * 1000000 AS INTEGER) - n * 600000000,
    iif(n % 50 = 0, NULL, printf('00000000-0000-4000-8000-%012x', n)),
    CASE WHEN n % 50 = 0 THEN NULL WHEN n % 9 = 0 THEN 'failed' ELSE 'succeeded' END,
    iif(n % 50 = 0, NULL, CAST(unixepoch('subsec') * 1000000 AS INTEGER) - n * 600000000 + 3000000), iif(n % 50 = 0, NULL, 3000)
FROM jobforge_schedules AS schedules CROSS JOIN number
ORDER BY 1, 2;
UPDATE jobforge_schedules SET lines = 500, missed_runs = 10, consecutive_failures = iif(name LIKE '%7', 3, 0);
WITH RECURSIVE number (n) AS (SELECT 1000 UNION ALL SELECT n - 1 FROM number WHERE n > 1)
INSERT INTO jobforge_watchdog_runs
    (watchdog, started_at, duration_ms, trigger, suspects, workers_lost, requeued, ended, lost_races, verdicts)
SELECT 'host-1', CAST(unixepoch('subsec') * 1000000 AS INTEGER) - n * 30000000, 7, 'interval', n % 7, 0, n % 7, 0, 0, '[]'
FROM number;
