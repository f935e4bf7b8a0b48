-- Raises the version of the settings, if it is the expected one.
-- ?1 expected version
-- Index: primary key.
UPDATE jobforge_settings_version
SET version = version + 1
WHERE only_row = 1
  AND version = ?1;
