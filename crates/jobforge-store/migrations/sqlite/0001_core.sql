-- Jobs, what is kept of them, workers and queues.
--
-- The same tables and columns as on PostgreSQL. Ids are UUIDs as text, moments are microseconds since 1970, JSON and
-- lists are JSON text. The checks refuse what `jobforge_core::state` refuses.

CREATE TABLE jobforge_jobs (
    id                TEXT    NOT NULL PRIMARY KEY,
    tenant_id         TEXT    NOT NULL DEFAULT 'default',
    type              TEXT    NOT NULL,
    payload           TEXT    NOT NULL DEFAULT '{}',
    -- Compared one by one: for a longer IN list SQLite would build a temporary table at every change of a row.
    status            TEXT    NOT NULL DEFAULT 'queued'
        CHECK (status = 'queued' OR status = 'running' OR status = 'succeeded' OR status = 'failed' OR status = 'dead'
            OR status = 'canceled'),
    attempts          INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    max_attempts      INTEGER NOT NULL DEFAULT 5 CHECK (max_attempts >= 1),
    run_at            INTEGER NOT NULL,
    locked_by         TEXT,
    locked_at         INTEGER,
    heartbeat_at      INTEGER,
    started_at        INTEGER,
    finished_at       INTEGER,
    idempotency_key   TEXT,
    error             TEXT,
    result_id         TEXT,
    created_by        TEXT,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    queue             TEXT    NOT NULL DEFAULT 'default',
    priority          INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN -32768 AND 32767),
    lease             INTEGER NOT NULL DEFAULT 0 CHECK (lease >= 0),
    last_worker       TEXT,
    heartbeat_due_at  INTEGER,
    deadline_at       INTEGER,
    timeout_ms        INTEGER CHECK (timeout_ms > 0),
    progress_timeout_ms INTEGER CHECK (progress_timeout_ms > 0),
    -- How long the running attempt may stand still: the job's own bound, or what its worker said of its type.
    progress_limit_ms INTEGER,
    -- What was heard of the last attempt: its heartbeats, how long its worker meant to wait for the next one, and its silent gaps.
    beats             INTEGER NOT NULL DEFAULT 0,
    beat_interval_ms  INTEGER,
    silent_gaps       TEXT,
    misses            INTEGER NOT NULL DEFAULT 0 CHECK (misses >= 0),
    -- Deaths of workers in which it was running, if there were any; after the second it runs alone.
    crashes           TEXT,
    alone             INTEGER NOT NULL DEFAULT 0 CHECK (alone IN (0, 1)),
    queued_because    TEXT    NOT NULL DEFAULT 'enqueued',
    progress          INTEGER CHECK (progress BETWEEN 0 AND 100),
    progress_message  TEXT,
    phase             TEXT,
    progress_at       INTEGER,
    items_processed   INTEGER NOT NULL DEFAULT 0,
    items_failed      INTEGER NOT NULL DEFAULT 0,
    items_skipped     INTEGER NOT NULL DEFAULT 0,
    checkpoint        TEXT,
    tags              TEXT    NOT NULL DEFAULT '[]',
    traceparent       TEXT,
    retry             TEXT,
    -- What a dead job died of: a fingerprint, filled in by whoever asks or by the housekeeper. And a person's word that it
    -- stays dead.
    dead_group        TEXT,
    resolved_at       INTEGER,
    resolved_by       TEXT,
    resolution        TEXT,
    -- Only on SQLite: 1 when run_at has been reached, so that the claim index holds nothing that must wait.
    due               INTEGER NOT NULL DEFAULT 1 CHECK (due IN (0, 1)),
    CONSTRAINT jobforge_jobs_running_has_owner
        CHECK ((status = 'running') = (locked_by IS NOT NULL) AND (status = 'running') = (locked_at IS NOT NULL)),
    CONSTRAINT jobforge_jobs_ended_has_finished_at
        CHECK ((status <> 'queued' AND status <> 'running') = (finished_at IS NOT NULL))
) STRICT;

-- What may be claimed, in the order in which it is. `type` and `tenant_id` come last so that a claim filters, and a
-- tenant's jobs are counted, without reading rows.
CREATE INDEX idx_jobforge_jobs_claim ON jobforge_jobs (queue, alone, priority, run_at, id, type, tenant_id)
    WHERE status = 'queued' AND due = 1;

-- What waits for its time.
CREATE INDEX idx_jobforge_jobs_scheduled ON jobforge_jobs (run_at, queue, tenant_id, queued_because)
    WHERE status = 'queued' AND due = 0;

-- What runs, by its worker.
CREATE INDEX idx_jobforge_jobs_running ON jobforge_jobs (locked_by, queue)
    WHERE status = 'running';

-- What has ended, for the purge, lists of one status and counts of one tenant.
CREATE INDEX idx_jobforge_jobs_finished ON jobforge_jobs (status, finished_at, tenant_id)
    WHERE finished_at IS NOT NULL;

-- Dead letters by cause, with all that counting them asks.
CREATE INDEX idx_jobforge_jobs_dead ON jobforge_jobs (dead_group, finished_at, tenant_id, queue, resolved_at)
    WHERE status = 'dead';

-- What went wrong, newest first; the common life of a job does not pay for these.
CREATE INDEX idx_jobforge_jobs_fallen ON jobforge_jobs (status, id)
    WHERE status = 'failed' OR status = 'dead' OR status = 'canceled';
CREATE INDEX idx_jobforge_jobs_dead_listed ON jobforge_jobs (dead_group, id)
    WHERE status = 'dead';
-- What a filter asks stands in the index, so that a type that few dead jobs have is found without reading them all.
CREATE INDEX idx_jobforge_jobs_dead_newest ON jobforge_jobs (id, type, queue, tenant_id)
    WHERE status = 'dead';
-- With all that counting what fell of a tenant lately asks.
CREATE INDEX idx_jobforge_jobs_fallen_tenant ON jobforge_jobs (tenant_id, status, id, finished_at)
    WHERE status = 'failed' OR status = 'dead' OR status = 'canceled';

-- Ended jobs that fell silent and went on.
CREATE INDEX idx_jobforge_jobs_silent ON jobforge_jobs (finished_at)
    WHERE silent_gaps IS NOT NULL;

-- At most one job per (tenant, type, key); the key comes first so that it can be looked up alone.
CREATE UNIQUE INDEX idx_jobforge_jobs_idempotency ON jobforge_jobs (idempotency_key, type, tenant_id)
    WHERE idempotency_key IS NOT NULL;

-- What lists by tenant, type and queue go through: each combination of the three is a kind, and each job stands under one.
-- A row is written when its job is, and never again. One index leads to any of the three and to two or three at once.
-- Written by the enqueue itself: a trigger for each row took as long as the row.
CREATE TABLE jobforge_kinds (
    kind       INTEGER NOT NULL PRIMARY KEY,
    tenant_id  TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    queue      TEXT    NOT NULL,
    UNIQUE (tenant_id, type, queue)
) STRICT;

CREATE TABLE jobforge_listed (
    kind  INTEGER NOT NULL,
    id    TEXT    NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- The same for each tag of a job.
CREATE TABLE jobforge_tagged (
    tag  TEXT NOT NULL,
    id   TEXT NOT NULL,
    PRIMARY KEY (tag, id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER jobforge_jobs_unlisted AFTER DELETE ON jobforge_jobs
BEGIN
    DELETE FROM jobforge_listed
    WHERE kind = (
        SELECT kind FROM jobforge_kinds WHERE tenant_id = OLD.tenant_id AND type = OLD.type AND queue = OLD.queue
      )
      AND id = OLD.id;
END;

CREATE TRIGGER jobforge_jobs_untagged AFTER DELETE ON jobforge_jobs
WHEN OLD.tags <> '[]'
BEGIN
    DELETE FROM jobforge_tagged WHERE tag IN (SELECT value FROM json_each(OLD.tags)) AND id = OLD.id;
END;

-- Nothing changes these but raw SQL, and it must not hide a job from its lists.
CREATE TRIGGER jobforge_jobs_relisted BEFORE UPDATE OF id, tenant_id, type, queue, tags ON jobforge_jobs
WHEN (NEW.id, NEW.tenant_id, NEW.type, NEW.queue, NEW.tags) IS NOT (OLD.id, OLD.tenant_id, OLD.type, OLD.queue, OLD.tags)
BEGIN
    SELECT raise(ABORT, 'id, tenant_id, type, queue and tags of a job never change; enqueue another one');
END;

-- Looked up by job only, so the id has no index of its own.
CREATE TABLE jobforge_job_results (
    id            TEXT    NOT NULL,
    job_id        TEXT    NOT NULL PRIMARY KEY REFERENCES jobforge_jobs (id) ON DELETE CASCADE,
    tenant_id     TEXT    NOT NULL,
    result        TEXT,
    artifact_ref  TEXT,
    created_at    INTEGER NOT NULL
) STRICT;

-- Every ended attempt, except a success at the first try and a snooze.
CREATE TABLE jobforge_job_attempts (
    id           TEXT    NOT NULL,
    job_id       TEXT    NOT NULL REFERENCES jobforge_jobs (id) ON DELETE CASCADE,
    tenant_id    TEXT    NOT NULL,
    attempt_no   INTEGER NOT NULL,
    lease        INTEGER NOT NULL,
    worker_id    TEXT,
    outcome      TEXT    NOT NULL,
    started_at   INTEGER,
    finished_at  INTEGER NOT NULL,
    error        TEXT,
    -- When its worker said that the handler goes on although the job was taken from it, and how many of its reports were
    -- refused since.
    stop_ignored_at  INTEGER,
    refused      INTEGER NOT NULL DEFAULT 0,
    -- What was heard of it, as the job's row had it.
    beats        INTEGER NOT NULL DEFAULT 0,
    heartbeat_at INTEGER,
    beat_interval_ms  INTEGER,
    silent_gaps  TEXT,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (job_id, lease)
) STRICT;
CREATE INDEX idx_jobforge_job_attempts_silent ON jobforge_job_attempts (finished_at)
    WHERE silent_gaps IS NOT NULL OR instr(error, '"heartbeat_late"');

-- The newest log lines of each attempt that printed any.
CREATE TABLE jobforge_job_logs (
    job_id      TEXT    NOT NULL REFERENCES jobforge_jobs (id) ON DELETE CASCADE,
    lease       INTEGER NOT NULL,
    attempt_no  INTEGER NOT NULL,
    tail        TEXT    NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (job_id, lease)
) STRICT;

-- How far attempts said they had come: at most 64 points each, of the newest fences of a job. A row a point, for a report then
-- writes a small row rather than all that is kept once more.
CREATE TABLE jobforge_job_progress (
    job_id     TEXT    NOT NULL REFERENCES jobforge_jobs (id) ON DELETE CASCADE,
    lease      INTEGER NOT NULL,
    report_no  INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    progress   INTEGER CHECK (progress BETWEEN 0 AND 100),
    phase      TEXT,
    message    TEXT,
    PRIMARY KEY (job_id, lease, report_no)
) STRICT, WITHOUT ROWID;

-- One row per incarnation of a worker.
CREATE TABLE jobforge_workers (
    id                 TEXT    NOT NULL PRIMARY KEY,
    name               TEXT,
    hostname           TEXT    NOT NULL,
    pid                INTEGER NOT NULL,
    queues             TEXT    NOT NULL,
    types              TEXT,
    slots              INTEGER NOT NULL,
    state              TEXT    NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'draining', 'gone', 'lost', 'dead')),
    lease_ms           INTEGER NOT NULL CHECK (lease_ms > 0),
    -- Whether the lease may grow with the fleet.
    lease_scales       INTEGER NOT NULL DEFAULT 0 CHECK (lease_scales IN (0, 1)),
    -- How long the lease was when it was last given. A shorter one takes nothing from it: its worker may not know of it yet.
    granted_ms         INTEGER NOT NULL CHECK (granted_ms > 0),
    started_at         INTEGER NOT NULL,
    last_heartbeat_at  INTEGER NOT NULL,
    lease_expires_at   INTEGER NOT NULL,
    ended_at           INTEGER,
    end_reason         TEXT,
    -- What proofs of death go by; unknown where the operating system does not tell.
    machine_id         TEXT,
    boot_id            TEXT,
    pid_namespace      INTEGER,
    process_start      INTEGER,
    slot               TEXT,
    slot_id            TEXT,
    death              TEXT,
    -- How many jobs its process was running when it was proven dead.
    died_with          INTEGER,
    -- Since when its supervisor sees the process stopped, and since when its connection is lost.
    stopped_at         INTEGER,
    suspect_at         INTEGER,
    -- When it was told to restart, if it was. It gets no job from then on.
    restart_at         INTEGER,
    -- Who registered it over the network: a token by its public id, or by what configures it.
    registered_by      TEXT,
    CONSTRAINT jobforge_workers_ended_has_ended_at
        CHECK ((state IN ('gone', 'lost', 'dead')) = (ended_at IS NOT NULL))
) STRICT;

-- What goes for all workers: one row.
CREATE TABLE jobforge_fleet (
    one             INTEGER NOT NULL PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    -- The shortest lease of workers that let it grow.
    least_lease_ms  INTEGER NOT NULL DEFAULT 0,
    -- Fences are above this. Grows whenever the file is restored from a copy, above all that may have been given out since.
    lease_base      INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO jobforge_fleet DEFAULT VALUES;

-- When executions last succeeded, by the name under which they are counted: kept to the second, whatever is purged.
CREATE TABLE jobforge_successes (
    name     TEXT    NOT NULL PRIMARY KEY,
    last_at  INTEGER NOT NULL
) STRICT;

-- Paused queues only; a queue without a row takes jobs.
CREATE TABLE jobforge_queues (
    name       TEXT NOT NULL PRIMARY KEY,
    paused_at  INTEGER NOT NULL
) STRICT;

-- Who watches. A row is replaced every few seconds while its watchdog lives.
CREATE TABLE jobforge_watchdogs (
    id                 TEXT    NOT NULL PRIMARY KEY,
    started_at         INTEGER NOT NULL,
    last_sign_at       INTEGER NOT NULL,
    check_interval_ms  INTEGER NOT NULL,
    -- What holds its verdicts back, and until when.
    guard              TEXT,
    guard_until        INTEGER
) STRICT;

-- Who keeps house: one row, of whoever did so last.
CREATE TABLE jobforge_housekeeper (
    one           INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id            TEXT    NOT NULL,
    last_sign_at  INTEGER NOT NULL
) STRICT;

-- What watchdogs did: every run of the check interval, and every other that found something.
CREATE TABLE jobforge_watchdog_runs (
    id            INTEGER PRIMARY KEY,
    watchdog      TEXT    NOT NULL,
    started_at    INTEGER NOT NULL,
    duration_ms   INTEGER NOT NULL,
    trigger       TEXT    NOT NULL,
    guard         TEXT,
    suspects      INTEGER NOT NULL,
    workers_lost  INTEGER NOT NULL,
    requeued      INTEGER NOT NULL,
    ended         INTEGER NOT NULL,
    lost_races    INTEGER NOT NULL,
    verdicts      TEXT    NOT NULL,
    error         TEXT
) STRICT;
CREATE INDEX idx_jobforge_watchdog_runs ON jobforge_watchdog_runs (started_at);
