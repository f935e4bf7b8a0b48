-- Forgets when tokens were last used that ended long ago. The tokens stay.
-- ?1 ended before, ?2 at most so many
-- Scans the tokens, of which there are few.
UPDATE jobforge_tokens
SET last_used_at = NULL
WHERE rowid IN (
    SELECT rowid
    FROM jobforge_tokens
    WHERE last_used_at IS NOT NULL
      AND min(coalesce(revoked_at, expires_at), coalesce(expires_at, revoked_at)) < ?1
    LIMIT ?2
);
