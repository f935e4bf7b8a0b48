-- Puts one job in, unless its id or its idempotency key is taken; then nothing happens and the caller looks why.
-- ?1 id, ?2 tenant, ?3 type, ?4 payload, ?5 queue, ?6 priority, ?7 run_at, ?8 due, ?9 max_attempts, ?10 timeout_ms,
-- ?11 idempotency_key, ?12 tags, ?13 traceparent, ?14 created_by, ?15 retry, ?16 now, ?17 progress_timeout_ms
-- Index: the primary key and idx_jobforge_jobs_idempotency find what is taken.
INSERT INTO jobforge_jobs (
    id,
    tenant_id,
    type,
    payload,
    queue,
    priority,
    run_at,
    due,
    max_attempts,
    timeout_ms,
    idempotency_key,
    tags,
    traceparent,
    created_by,
    retry,
    created_at,
    updated_at,
    progress_timeout_ms
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16, ?17)
ON CONFLICT DO NOTHING;
