-- The stored settings with their version and the time; one row without a key if there is none.
SELECT v.version, jobforge_now(), s.key, s.value, s.version, s.updated_at, s.updated_by, s.reason, s.expires_at
FROM jobforge_settings_version v
LEFT JOIN jobforge_settings s ON true
ORDER BY s.key
