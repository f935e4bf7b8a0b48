-- Notes when executions under a name last succeeded, to the second.
-- ?1 name, ?2 now
-- Index: primary key.
INSERT INTO jobforge_successes (name, last_at)
VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET last_at = ?2
WHERE last_at < ?2 - 1000000;
