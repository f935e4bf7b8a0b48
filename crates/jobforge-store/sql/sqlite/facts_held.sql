-- What holds the watchdogs' verdicts back, by the word of the last one that gave a sign.
-- ?1 now
-- Scans the watchdogs, of which there are few.
SELECT
    guard,
    guard_until
FROM jobforge_watchdogs
WHERE guard IS NOT NULL
  AND guard_until > ?1
ORDER BY last_sign_at DESC
LIMIT 1;
