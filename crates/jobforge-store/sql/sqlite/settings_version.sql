-- The version of the settings.
-- Index: primary key.
SELECT version
FROM jobforge_settings_version
WHERE only_row = 1;
