-- Which channel was told of which alert.
-- ?1 how many
SELECT channel, rule, labels, fired_at, at
FROM jobforge_alerts_told
ORDER BY at DESC
LIMIT ?1;
