-- How many jobs of a status have ended since a moment. The count stops at a cap.
-- ?1 tenant, ?2 since, ?3 cap, ?4 status
-- Index: idx_jobforge_jobs_finished.
SELECT count(*)
FROM (
    SELECT 1
    FROM jobforge_jobs
    WHERE finished_at IS NOT NULL
      AND status = ?4
      AND finished_at >= ?2
      AND (?1 IS NULL OR tenant_id = ?1)
    LIMIT ?3
);
