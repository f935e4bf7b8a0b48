-- The list of applied migrations, made before the first of them.
CREATE TABLE IF NOT EXISTS jobforge_migrations (
    version     INTEGER NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    checksum    TEXT    NOT NULL,
    applied_at  INTEGER NOT NULL
) STRICT;
