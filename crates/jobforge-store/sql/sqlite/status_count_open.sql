-- How many jobs wait, and how many run. Counts stop at a cap.
-- ?1 tenant, ?2 cap
-- Index: idx_jobforge_jobs_claim, idx_jobforge_jobs_scheduled, idx_jobforge_jobs_running.
SELECT
    (SELECT count(*) FROM (
        SELECT 1 FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_claim
        WHERE status = 'queued' AND due = 1 AND (?1 IS NULL OR tenant_id = ?1) LIMIT ?2))
    + (SELECT count(*) FROM (
        SELECT 1 FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_scheduled
        WHERE status = 'queued' AND due = 0 AND (?1 IS NULL OR tenant_id = ?1) LIMIT ?2)),
    (SELECT count(*) FROM (
        SELECT 1 FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_running
        WHERE status = 'running' AND (?1 IS NULL OR tenant_id = ?1) LIMIT ?2));
