-- Forgets a batch of what was told long ago.
-- ?1 before when, ?2 how many at once
-- Index: primary key.
DELETE FROM jobforge_samples
WHERE (at, process) IN (
    SELECT at, process
    FROM jobforge_samples
    WHERE at < ?1
    ORDER BY at, process
    LIMIT ?2
);
