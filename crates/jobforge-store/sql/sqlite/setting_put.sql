-- Stores one setting.
-- ?1 key, ?2 value, ?3 version, ?4 now, ?5 by whom, ?6 why, ?7 when it stops counting
-- Index: primary key.
INSERT INTO jobforge_settings (key, value, version, updated_at, updated_by, reason, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (key) DO UPDATE
SET
    value = excluded.value,
    version = excluded.version,
    updated_at = excluded.updated_at,
    updated_by = excluded.updated_by,
    reason = excluded.reason,
    expires_at = excluded.expires_at;
