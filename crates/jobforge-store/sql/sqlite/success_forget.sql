-- Forgets when executions last succeeded long ago, under names that no schedule has.
-- ?1 succeeded before, ?2 at most so many
-- Scans a small table.
DELETE FROM jobforge_successes
WHERE name IN (
    SELECT s.name
    FROM jobforge_successes AS s
    WHERE s.last_at < ?1
      AND NOT EXISTS (SELECT 1 FROM jobforge_schedules AS h WHERE h.name = s.name)
    LIMIT ?2
);
