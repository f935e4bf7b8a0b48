-- Whether the file has JobForge's list of migrations.
SELECT count(*)
FROM sqlite_schema
WHERE type = 'table'
  AND name = 'jobforge_migrations';
