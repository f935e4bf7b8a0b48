-- Schedules by name.
-- ?1 only behind this name, ?2 how many
-- Index: primary key.
SELECT *
FROM jobforge_schedules
WHERE name > ?1
ORDER BY name
LIMIT ?2;
