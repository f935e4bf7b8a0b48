-- Notes what a file or a program says of a schedule that a person made or has changed.
-- ?1 name, ?2 what was declared, ?3 source
-- Index: primary key.
UPDATE jobforge_schedules
SET
    declared = ?2,
    source = ?3
WHERE name = ?1;
