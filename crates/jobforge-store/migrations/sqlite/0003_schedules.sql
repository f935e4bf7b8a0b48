-- Jobs that are made by themselves: what is to run when, and what became of each moment.

CREATE TABLE jobforge_schedules (
    name                  TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
    tenant_id             TEXT    NOT NULL CHECK (tenant_id <> ''),
    definition            TEXT    NOT NULL,
    source                TEXT    NOT NULL CHECK (source IN ('api', 'cli', 'config', 'code', 'builtin')),
    -- What a file or a program said last: only when it says something else is what people have changed since replaced.
    declared              TEXT,
    paused_at             INTEGER,
    paused_by             TEXT,
    pause_reason          TEXT,
    paused_until          INTEGER,
    -- The first moment of which nothing became yet, and when its job is made.
    next_at               INTEGER,
    due_at                INTEGER,
    -- When that was reckoned: in the future only after the clock was set back.
    planned_at            INTEGER NOT NULL,
    last_planned_for      INTEGER,
    last_fired_at         INTEGER,
    last_job_id           TEXT,
    last_status           TEXT,
    last_finished_at      INTEGER,
    last_duration_ms      INTEGER,
    last_success_at       INTEGER,
    -- Its last success; or when it was made, changed, resumed or its pause ended, if that was later. Without a success for so
    -- long from then on it is stale.
    fresh_at              INTEGER NOT NULL,
    stale_after_ms        INTEGER,
    -- The longest time from one of its moments to the next.
    interval_ms           INTEGER,
    consecutive_failures  INTEGER NOT NULL DEFAULT 0,
    missed_runs           INTEGER NOT NULL DEFAULT 0,
    -- How many lines it has had in its history.
    lines                 INTEGER NOT NULL DEFAULT 0,
    version               INTEGER NOT NULL DEFAULT 1,
    created_at            INTEGER NOT NULL,
    created_by            TEXT    NOT NULL,
    updated_at            INTEGER NOT NULL,
    updated_by            TEXT    NOT NULL,
    CHECK ((paused_at IS NULL) = (paused_by IS NULL)),
    CHECK ((next_at IS NULL) = (due_at IS NULL))
) STRICT;
CREATE INDEX idx_jobforge_schedules_due ON jobforge_schedules (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX idx_jobforge_schedules_tenant ON jobforge_schedules (tenant_id, name);

-- One line for each moment, or for several beside each other that share their fate. That a schedule fires once for each
-- moment, whoever fires it, is the primary key.
CREATE TABLE jobforge_schedule_runs (
    schedule       TEXT    NOT NULL REFERENCES jobforge_schedules (name) ON DELETE CASCADE,
    planned_for    INTEGER NOT NULL,
    line           INTEGER NOT NULL,
    outcome        TEXT    NOT NULL CHECK (outcome IN ('ran', 'late', 'missed', 'skipped')),
    why            TEXT,
    ticks          INTEGER NOT NULL DEFAULT 1 CHECK (ticks >= 1),
    planned_until  INTEGER,
    recorded_at    INTEGER NOT NULL,
    triggered_by   TEXT,
    -- Its job, and how that ended. The line stays when the job is purged.
    job_id         TEXT,
    status         TEXT,
    finished_at    INTEGER,
    duration_ms    INTEGER,
    PRIMARY KEY (schedule, planned_for)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_jobforge_schedule_runs_line ON jobforge_schedule_runs (schedule, line);
CREATE INDEX idx_jobforge_schedule_runs_open ON jobforge_schedule_runs (schedule, planned_for)
    WHERE job_id IS NOT NULL AND finished_at IS NULL;

-- Which server fires schedules: one row.
CREATE TABLE jobforge_scheduler (
    one           INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    leader        TEXT    NOT NULL,
    lease_until   INTEGER NOT NULL,
    last_tick_at  INTEGER NOT NULL
) STRICT;
