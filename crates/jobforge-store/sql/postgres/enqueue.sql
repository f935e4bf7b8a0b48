-- Inserts jobs; one whose id or idempotency key exists is passed over. Returns the ids that were inserted.
--
-- One array element a job: $1 id, $2 tenant, $3 type, $4 payload, $5 queue, $6 priority, $7 run at (or null),
-- $8 delay in ms, $9 attempts, $10 time-out in ms, $11 idempotency key, $12 tags as JSON, $13 traceparent,
-- $14 created by, $15 retry policy, $16 time-out of progress in ms. Uses idx_jobforge_jobs_idempotency.
INSERT INTO jobforge_jobs
  (id, tenant_id, type, payload, queue, priority, run_at, max_attempts, timeout_ms, idempotency_key, tags, traceparent,
   created_by, retry, progress_timeout_ms, created_at, updated_at)
SELECT id, tenant_id, type, payload, queue, priority,
       coalesce(run_at, jobforge_now() + delay_ms * interval '1 ms'),
       max_attempts, timeout_ms, idempotency_key,
       CASE WHEN tags IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(tags)) END,
       traceparent, created_by, retry, progress_timeout_ms, jobforge_now(), jobforge_now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::text[], $6::smallint[], $7::timestamptz[],
            $8::bigint[], $9::integer[], $10::bigint[], $11::text[], $12::jsonb[], $13::text[], $14::text[], $15::jsonb[],
            $16::bigint[])
  AS n (id, tenant_id, type, payload, queue, priority, run_at, delay_ms, max_attempts, timeout_ms, idempotency_key,
        tags, traceparent, created_by, retry, progress_timeout_ms)
ON CONFLICT DO NOTHING
RETURNING id
