-- What is silenced now, the newest first.
-- ?1 now, ?2 how many
-- Index: idx_jobforge_silences_until.
SELECT id, rule, labels, until, created_at, created_by, reason
FROM jobforge_silences
WHERE until > ?1
ORDER BY created_at DESC, id
LIMIT ?2;
