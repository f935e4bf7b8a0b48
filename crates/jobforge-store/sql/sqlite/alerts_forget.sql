-- Forgets what was over long ago.
-- ?1 before when
-- Index: idx_jobforge_alerts_resolved.
DELETE FROM jobforge_alerts
WHERE resolved_at < ?1;
