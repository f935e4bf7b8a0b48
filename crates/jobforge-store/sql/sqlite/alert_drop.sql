-- Forgets something that waited and holds no longer.
-- ?1 rule, ?2 labels
-- Index: idx_jobforge_alerts_active.
DELETE FROM jobforge_alerts
WHERE rule = ?1
  AND labels = ?2
  AND resolved_at IS NULL
  AND fired_at IS NULL;
