-- Jobs $1 to $2 of $3, as a month of work leaves them: seven of ten of one big tenant, the rest of four hundred small ones,
-- twelve types, eight queues, most succeeded, the last four in a hundred still waiting, some of them for their next attempt.
--
-- A job's number decides everything but its id, so that two runs measure the same.
WITH made AS MATERIALIZED (
  SELECT n,
         now() - interval '30 days' * (1 - n::float8 / $3::bigint) AS at,
         CASE
           WHEN n > $3::bigint * 0.97 THEN 'queued'
           WHEN n > $3::bigint * 0.965 THEN 'later'
           WHEN n > $3::bigint * 0.96 THEN 'retry'
           WHEN n > $3::bigint * 0.96 - 200 THEN 'running'
           WHEN n % 100 IN (1, 28) THEN 'failed'
           WHEN n % 100 IN (10, 37, 58) THEN 'dead'
           WHEN n % 100 = 77 THEN 'canceled'
           ELSE 'succeeded'
         END AS word
  FROM generate_series($1::bigint, $2::bigint) n
), jobs AS (
  INSERT INTO jobforge_jobs
    (id, tenant_id, type, payload, status, attempts, run_at, locked_by, locked_at, heartbeat_at, started_at, finished_at,
     idempotency_key, error, result_id, created_at, updated_at, queue, priority, lease, last_worker, heartbeat_due_at, tags,
     queued_because)
  SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || right(md5(n::text), 3)
          || '8' || left(md5(n::text), 15))::uuid,
         CASE WHEN n % 10 < 7 THEN 'big' ELSE 'small-' || n % 401 END,
         CASE WHEN n = 17 THEN 'report.rare' ELSE 'mail.send-' || n * 7919 % 12 END,
         jsonb_build_object('seq', n, 'file_name', 'file-' || n || '.mp4'),
         CASE WHEN word IN ('later', 'retry') THEN 'queued' ELSE word END,
         CASE WHEN word IN ('queued', 'later') THEN 0 WHEN word = 'dead' THEN 3 ELSE 1 END,
         CASE WHEN word IN ('later', 'retry') THEN now() + interval '1 day' + n * interval '1 ms' ELSE at END,
         CASE WHEN word = 'running' THEN 'bench-worker-' || n % 5 END,
         CASE WHEN word = 'running' THEN now() END,
         CASE WHEN word = 'running' THEN now() END,
         CASE WHEN word NOT IN ('queued', 'later') THEN at + interval '1 s' END,
         CASE WHEN word NOT IN ('queued', 'later', 'retry', 'running') THEN at + interval '3 s' END,
         CASE WHEN n % 20 = 0 THEN 'key-' || n END,
         CASE WHEN word IN ('failed', 'dead', 'retry') THEN jsonb_build_object('kind', CASE n % 10 WHEN 0 THEN 'timeout' WHEN 8 THEN 'worker_lost' ELSE 'io' END, 'retryable', word <> 'failed',
           'message', 'cannot read ' || substr('abcdefghijklmnopqrstuvwxyz', (n % 26)::integer + 1, 1) || ' of block ' || n) END,
         CASE WHEN word = 'succeeded' AND n % 10 = 0 THEN md5(n::text)::uuid END,
         at,
         CASE WHEN word IN ('queued', 'later', 'retry') THEN at WHEN word = 'running' THEN now() ELSE at + interval '3 s' END,
         CASE WHEN n = 18 THEN 'rare' ELSE 'queue-' || n * 7919 % 12 % 8 END,
         CASE WHEN n % 50 = 0 THEN -1 ELSE 0 END,
         CASE WHEN word IN ('queued', 'later') THEN 0 WHEN word = 'dead' THEN 3 ELSE 1 END,
         CASE WHEN word NOT IN ('queued', 'later', 'running') THEN 'bench-worker-' || n % 5 END,
         CASE WHEN word = 'running' THEN now() + interval '1 hour' END,
         CASE WHEN n = 19 THEN ARRAY['rare'] WHEN n % 10 = 0 THEN ARRAY['customer-' || n % 70] END,
         CASE word WHEN 'retry' THEN 'retry' ELSE 'enqueued' END
  FROM made
  RETURNING id, tenant_id, status, attempts, lease, started_at, finished_at, error, result_id, last_worker
), attempts AS (
  INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at, error)
  SELECT id, tenant_id, no, no, last_worker, CASE WHEN no < attempts OR status = 'queued' THEN 'retry' ELSE status END,
         started_at, coalesce(finished_at, started_at + interval '2 s'), error
  FROM jobs
  CROSS JOIN LATERAL generate_series(1, attempts) no
  WHERE status IN ('failed', 'dead', 'canceled') OR (status = 'queued' AND attempts > 0)
)
INSERT INTO jobforge_job_results (id, job_id, tenant_id, result)
SELECT result_id, id, tenant_id, '{"frames": 1200, "ok": true}' FROM jobs WHERE result_id IS NOT NULL
