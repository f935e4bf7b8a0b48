-- Takes one setting out.
-- ?1 key
-- Index: primary key.
DELETE FROM jobforge_settings
WHERE key = ?1;
