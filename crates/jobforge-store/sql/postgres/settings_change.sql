-- Stores settings, and takes those out that have no value, if the version is still the expected one. Returns the new
-- version, or nothing.
--
-- $1 expected version, $2 keys, $3 values, $4 when each stops counting, $5 by whom.
WITH bumped AS (
  UPDATE jobforge_settings_version
  SET version = version + 1
  WHERE version = $1
  RETURNING version
), wanted AS MATERIALIZED (
  SELECT w.key, w.value, w.until, s.value AS old_value, s.expires_at AS old_until, b.version
  FROM unnest($2, $3, $4) AS w (key, value, until)
  CROSS JOIN bumped b
  LEFT JOIN jobforge_settings s ON s.key = w.key
), removed AS (
  DELETE FROM jobforge_settings s
  USING wanted w
  WHERE s.key = w.key AND w.value IS NULL
), put AS (
  INSERT INTO jobforge_settings AS s (key, value, version, updated_at, updated_by, reason, expires_at)
  SELECT key, value, version, jobforge_now(), $5 ->> 'actor', $5 ->> 'reason', until
  FROM wanted
  WHERE value IS NOT NULL
  ON CONFLICT (key) DO UPDATE
  SET value = excluded.value,
      version = excluded.version,
      updated_at = excluded.updated_at,
      updated_by = excluded.updated_by,
      reason = excluded.reason,
      expires_at = excluded.expires_at
)
SELECT b.version,
       pg_notify('jobforge', 'everything:'),
       (SELECT count(jobforge_audit_add($5, 'setting.set', w.key, NULL,
          jsonb_build_object('value', w.old_value, 'until', w.old_until)::text,
          jsonb_build_object('value', w.value, 'until', w.until, 'version', w.version)::text))
        FROM wanted w)
FROM bumped b
