-- One stored setting.
-- ?1 key
-- Index: primary key.
SELECT
    value,
    expires_at
FROM jobforge_settings
WHERE key = ?1;
