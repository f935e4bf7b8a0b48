-- What is silenced now, the newest first.
--
-- $1 how many. Uses idx_jobforge_silences_until.
SELECT id, rule, labels, until, created_at, created_by, reason
FROM jobforge_silences
WHERE until > jobforge_now()
ORDER BY created_at DESC, id
LIMIT $1
