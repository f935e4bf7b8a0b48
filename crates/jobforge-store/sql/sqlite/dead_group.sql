-- How many jobs died of one cause, when, and the last of them.
-- ?1 fingerprint, ?2 tenant, ?3 queue (each NULL for all), ?4 whether resolved jobs count, ?5 the highest count
-- Index: idx_jobforge_jobs_dead.
SELECT
    count(*),
    min(finished_at),
    max(finished_at)
FROM (
    SELECT finished_at
    FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_dead
    WHERE status = 'dead'
      AND dead_group = ?1
      AND (?2 IS NULL OR tenant_id = ?2)
      AND (?3 IS NULL OR queue = ?3)
      AND (?4 OR resolved_at IS NULL)
    ORDER BY finished_at DESC
    LIMIT ?5
);
