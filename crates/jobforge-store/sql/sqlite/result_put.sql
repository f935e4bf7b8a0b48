-- Keeps a job's result.
-- ?1 result id, ?2 job id, ?3 tenant, ?4 result, ?5 now
-- Index: primary key.
INSERT INTO jobforge_job_results (
    id,
    job_id,
    tenant_id,
    result,
    created_at
)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (job_id) DO UPDATE
SET
    id = excluded.id,
    result = excluded.result,
    created_at = excluded.created_at;
