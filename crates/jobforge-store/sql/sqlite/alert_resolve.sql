-- Notes that something that fired is over.
-- ?1 rule, ?2 labels, ?3 now
-- Index: idx_jobforge_alerts_active.
UPDATE jobforge_alerts
SET resolved_at = ?3
WHERE rule = ?1
  AND labels = ?2
  AND resolved_at IS NULL
  AND fired_at IS NOT NULL;
