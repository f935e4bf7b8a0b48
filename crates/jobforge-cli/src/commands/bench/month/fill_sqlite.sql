-- The same jobs as in fill_postgres.sql. ?1 first, ?2 last, ?3 of how many, ?4 now in microseconds.
INSERT INTO jobforge_jobs
    (id, tenant_id, type, payload, status, attempts, run_at, due, locked_by, locked_at, heartbeat_at, started_at,
     finished_at, idempotency_key, error, result_id, created_at, updated_at, queue, priority, lease, last_worker,
     heartbeat_due_at, tags, queued_because)
WITH RECURSIVE
number (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM number WHERE n < ?2),
made AS (
    SELECT
        n,
        ?4 - CAST(30 * 86400000000.0 * (1 - n / CAST(?3 AS REAL)) AS INTEGER) AS at,
        CASE
            WHEN n > ?3 * 0.97 THEN 'queued'
            WHEN n > ?3 * 0.965 THEN 'later'
            WHEN n > ?3 * 0.96 THEN 'retry'
            WHEN n > ?3 * 0.96 - 200 THEN 'running'
            WHEN n % 100 IN (1, 28) THEN 'failed'
            WHEN n % 100 IN (10, 37, 58) THEN 'dead'
            WHEN n % 100 = 77 THEN 'canceled'
            ELSE 'succeeded'
        END AS word
    FROM number
)
SELECT
    printf('%08x-%04x-7%03x-8%03x-%012x', at / 65536000, at / 1000 % 65536, n * 7919 % 4096, n * 104729 % 4096, n),
    CASE WHEN n % 10 < 7 THEN 'big' ELSE 'small-' || (n % 401) END,
    CASE WHEN n = 17 THEN 'report.rare' ELSE 'mail.send-' || (n * 7919 % 12) END,
    json_object('seq', n, 'file_name', 'file-' || n || '.mp4'),
    CASE WHEN word IN ('later', 'retry') THEN 'queued' ELSE word END,
    CASE WHEN word IN ('queued', 'later') THEN 0 WHEN word = 'dead' THEN 3 ELSE 1 END,
    CASE WHEN word IN ('later', 'retry') THEN ?4 + 86400000000 + n * 1000 ELSE at END,
    word NOT IN ('later', 'retry'),
    CASE WHEN word = 'running' THEN 'bench-worker-' || (n % 5) END,
    CASE WHEN word = 'running' THEN ?4 END,
    CASE WHEN word = 'running' THEN ?4 END,
    CASE WHEN word NOT IN ('queued', 'later') THEN at + 1000000 END,
    CASE WHEN word NOT IN ('queued', 'later', 'retry', 'running') THEN at + 3000000 END,
    CASE WHEN n % 20 = 0 THEN 'key-' || n END,
    CASE WHEN word IN ('failed', 'dead', 'retry') THEN json_object('kind', CASE n % 10 WHEN 0 THEN 'timeout' WHEN 8 THEN 'worker_lost' ELSE 'io' END, 'retryable', json(iif(word = 'failed', 'false', 'true')),
        'message', 'cannot read ' || substr('abcdefghijklmnopqrstuvwxyz', n % 26 + 1, 1) || ' of block ' || n) END,
    CASE WHEN word = 'succeeded' AND n % 10 = 0 THEN printf('00000000-0000-4000-8000-%012x', n) END,
    at,
    CASE WHEN word IN ('queued', 'later', 'retry') THEN at WHEN word = 'running' THEN ?4 ELSE at + 3000000 END,
    CASE WHEN n = 18 THEN 'rare' ELSE 'queue-' || (n * 7919 % 12 % 8) END,
    CASE WHEN n % 50 = 0 THEN -1 ELSE 0 END,
    CASE WHEN word IN ('queued', 'later') THEN 0 WHEN word = 'dead' THEN 3 ELSE 1 END,
    CASE WHEN word NOT IN ('queued', 'later', 'running') THEN 'bench-worker-' || (n % 5) END,
    CASE WHEN word = 'running' THEN ?4 + 3600000000 END,
    CASE WHEN n = 19 THEN '["rare"]' WHEN n % 10 = 0 THEN json_array('customer-' || (n % 70)) ELSE '[]' END,
    CASE word WHEN 'retry' THEN 'retry' ELSE 'enqueued' END
FROM made
