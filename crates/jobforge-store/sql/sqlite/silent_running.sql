-- Running attempts that fell silent, or are silent now.
-- ?1 now, ?2 limit
-- Index: idx_jobforge_jobs_running holds no more rows than workers have slots.
SELECT
    id,
    tenant_id,
    type,
    queue,
    attempts,
    lease,
    locked_by,
    status,
    NULL,
    NULL,
    heartbeat_at,
    0,
    beats,
    beat_interval_ms,
    silent_gaps
FROM jobforge_jobs INDEXED BY idx_jobforge_jobs_running
WHERE status = 'running'
  AND (silent_gaps IS NOT NULL OR ?1 - heartbeat_at > beat_interval_ms * 2000)
LIMIT ?2;
