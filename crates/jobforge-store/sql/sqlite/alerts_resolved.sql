-- What has ceased to hold, the last first.
-- ?1 how many
-- Index: idx_jobforge_alerts_resolved.
SELECT rule, labels, severity, since, fired_at, resolved_at, value, summary
FROM jobforge_alerts
WHERE resolved_at IS NOT NULL
ORDER BY resolved_at DESC, rule, labels
LIMIT ?1;
