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
    iif(tries.value < job.attempts, 'retry', job.status), job.started_at, job.finished_at, job.error, job.finished_at
FROM jobforge_jobs AS job
CROSS JOIN json_each(iif(job.attempts = 3, '[1, 2, 3]', '[1]')) AS tries
WHERE job.status IN ('failed', 'dead', 'canceled');
INSERT INTO jobforge_job_results (id, job_id, tenant_id, result, created_at)
SELECT result_id, id, tenant_id, '{"frames": 1200, "ok": true}', finished_at FROM jobforge_jobs WHERE result_id IS NOT NULL;
