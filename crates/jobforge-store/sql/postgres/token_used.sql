-- Notes that a token was used, to the minute.
--
-- $1 id. Uses the primary key.
UPDATE jobforge_tokens
SET last_used_at = date_trunc('minute', jobforge_now())
WHERE id = $1 AND last_used_at IS DISTINCT FROM date_trunc('minute', jobforge_now())
