-- Alerts that JobForge judges itself: what processes told, what holds, who was told, and what is silenced.

-- The lines of /metrics that rules look at, one row a process and half minute, so that any server can judge the whole.
CREATE TABLE jobforge_samples (
    at       INTEGER NOT NULL,
    process  TEXT    NOT NULL,
    series   TEXT    NOT NULL,
    PRIMARY KEY (at, process)
) STRICT, WITHOUT ROWID;

-- What holds, waiting or firing, and what has ceased to in the last days. Labels are JSON with sorted names: a series is
-- told apart by the very same bytes.
CREATE TABLE jobforge_alerts (
    id           INTEGER NOT NULL PRIMARY KEY,
    rule         TEXT    NOT NULL,
    labels       TEXT    NOT NULL,
    severity     TEXT    NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    since        INTEGER NOT NULL,
    fired_at     INTEGER,
    resolved_at  INTEGER,
    value        REAL    NOT NULL,
    summary      TEXT    NOT NULL,
    CHECK (resolved_at IS NULL OR fired_at IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX idx_jobforge_alerts_active ON jobforge_alerts (rule, labels) WHERE resolved_at IS NULL;
CREATE INDEX idx_jobforge_alerts_resolved ON jobforge_alerts (resolved_at) WHERE resolved_at IS NOT NULL;

-- Which channel was told of which alert, and when last.
CREATE TABLE jobforge_alerts_told (
    channel   TEXT    NOT NULL,
    rule      TEXT    NOT NULL,
    labels    TEXT    NOT NULL,
    fired_at  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (channel, rule, labels, fired_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobforge_silences (
    id          TEXT    NOT NULL PRIMARY KEY,
    rule        TEXT    NOT NULL,
    labels      TEXT    NOT NULL,
    until       INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT    NOT NULL,
    reason      TEXT
) STRICT;
CREATE INDEX idx_jobforge_silences_until ON jobforge_silences (until);

-- One row: which server judges, and the name by which receivers tell this database's incidents from others'.
CREATE TABLE jobforge_alert_turn (
    one         INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    fleet       TEXT    NOT NULL,
    judge       TEXT,
    turn_until  INTEGER,
    judged_at   INTEGER
) STRICT;
INSERT INTO jobforge_alert_turn (one, fleet) VALUES (1, lower(hex(randomblob(6))));
