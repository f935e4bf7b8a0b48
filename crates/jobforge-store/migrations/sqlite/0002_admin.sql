-- Who may ask, who did what, what is configured, and what goes on in the background.

-- Bearer tokens. Of the secret only a digest is kept.
CREATE TABLE jobforge_tokens (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    scopes        TEXT    NOT NULL,
    tenant_id     TEXT,
    -- The only queues that it puts jobs into and takes jobs from, as a JSON list; NULL is every queue.
    queues        TEXT,
    hash          TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    created_by    TEXT    NOT NULL,
    expires_at    INTEGER,
    revoked_at    INTEGER,
    last_used_at  INTEGER
) STRICT;

-- Settings that every process goes by, unless its own flags, environment or file say otherwise.
CREATE TABLE jobforge_settings (
    key         TEXT    NOT NULL PRIMARY KEY,
    value       TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    updated_by  TEXT    NOT NULL,
    reason      TEXT,
    -- When it stops counting.
    expires_at  INTEGER
) STRICT;

-- One row. Its version grows with every change of the settings.
CREATE TABLE jobforge_settings_version (
    only_row  INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    version   INTEGER NOT NULL
) STRICT;
INSERT INTO jobforge_settings_version (only_row, version) VALUES (1, 0);

-- Who did what. Written in the transaction of the deed, without a place; sealed soon after, each place with a hash over
-- the entry and the hash before. Before and after are JSON.
CREATE TABLE jobforge_audit (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    reason      TEXT,
    request_id  TEXT,
    address     TEXT,
    action      TEXT    NOT NULL,
    target      TEXT,
    tenant_id   TEXT,
    before      TEXT,
    after       TEXT,
    place       INTEGER UNIQUE,
    hash        TEXT,
    CHECK ((place IS NULL) = (hash IS NULL))
) STRICT;
CREATE INDEX idx_jobforge_audit_unsealed ON jobforge_audit (id) WHERE place IS NULL;
CREATE INDEX idx_jobforge_audit_target ON jobforge_audit (target, id);

-- Operations on many jobs, and how far they are. Whoever has the turn goes on with one until its turn is over.
CREATE TABLE jobforge_operations (
    id           TEXT    NOT NULL PRIMARY KEY,
    action       TEXT    NOT NULL,
    filter       TEXT    NOT NULL,
    dry_run      INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
    state        TEXT    NOT NULL CHECK (state IN ('running', 'done', 'canceled', 'failed')),
    done         INTEGER NOT NULL DEFAULT 0,
    passed_over  INTEGER NOT NULL DEFAULT 0,
    cursor       TEXT,
    by           TEXT    NOT NULL,
    error        TEXT,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    finished_at  INTEGER,
    turn_of      TEXT,
    turn_until   INTEGER
) STRICT;
CREATE INDEX idx_jobforge_operations_running ON jobforge_operations (created_at) WHERE state = 'running';
