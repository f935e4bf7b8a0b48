-- What holds, or what has ceased to, the last first.
--
-- $1 whether it has ceased to, $2 how many. Uses idx_jobforge_alerts_active or idx_jobforge_alerts_resolved.
SELECT rule, labels, severity, since, fired_at, resolved_at, value, summary
FROM jobforge_alerts
WHERE (resolved_at IS NOT NULL) = $1
ORDER BY coalesce(resolved_at, fired_at, since) DESC, rule, labels
LIMIT $2
