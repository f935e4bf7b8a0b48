-- What holds the watchdogs' verdicts back, by the word of the last one that gave a sign; nothing while another is free.
-- ?1 now, ?2 a sign from before this is of one that may not watch any more
-- Scans the watchdogs, of which there are few.
SELECT
    guard,
    guard_until
FROM jobforge_watchdogs
WHERE guard IS NOT NULL
  AND guard_until > ?1
  AND NOT EXISTS (
    SELECT 1
    FROM jobforge_watchdogs
    WHERE last_sign_at >= ?2
      AND (guard IS NULL OR guard_until <= ?1)
  )
ORDER BY last_sign_at DESC
LIMIT 1;
