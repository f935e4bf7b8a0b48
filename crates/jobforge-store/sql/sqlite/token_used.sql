-- Notes that a token was used, to the minute.
-- ?1 id, ?2 the minute
-- Index: primary key.
UPDATE jobforge_tokens
SET last_used_at = ?2
WHERE id = ?1
  AND last_used_at IS NOT ?2;
