-- What holds, the last first.
-- ?1 how many
-- Index: idx_jobforge_alerts_active.
SELECT rule, labels, severity, since, fired_at, resolved_at, value, summary
FROM jobforge_alerts
WHERE resolved_at IS NULL
ORDER BY coalesce(fired_at, since) DESC, rule, labels
LIMIT ?1;
