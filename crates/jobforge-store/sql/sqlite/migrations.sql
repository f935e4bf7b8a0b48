-- The applied migrations.
SELECT
    version,
    checksum,
    applied_at
FROM jobforge_migrations
ORDER BY version;
