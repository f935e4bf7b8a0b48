-- The stored settings.
SELECT
    key,
    value,
    version,
    updated_at,
    updated_by,
    reason,
    expires_at
FROM jobforge_settings
ORDER BY key;
