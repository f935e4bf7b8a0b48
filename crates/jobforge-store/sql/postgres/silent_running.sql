-- Reads running attempts that fell silent, or are silent now.
--
-- $1 limit. Uses idx_jobforge_jobs_running, which holds no more rows than workers have slots.
SELECT id, tenant_id, type, queue, attempts, lease, locked_by, status, NULL::jsonb, NULL::timestamptz, heartbeat_at, 0, beats,
       beat_interval_ms, silent_gaps
FROM jobforge_jobs
WHERE status = 'running'
  AND (silent_gaps IS NOT NULL OR jobforge_now() - heartbeat_at > beat_interval_ms * interval '2 ms')
LIMIT $1
