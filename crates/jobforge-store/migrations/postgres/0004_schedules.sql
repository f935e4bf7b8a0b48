-- Jobs that are made by themselves: what is to run when, and what became of each moment.

CREATE TABLE jobforge_schedules (
  name                  text        PRIMARY KEY CHECK (name <> ''),
  tenant_id             text        NOT NULL CHECK (tenant_id <> ''),
  definition            jsonb       NOT NULL,
  source                text        NOT NULL CHECK (source IN ('api', 'cli', 'config', 'code', 'builtin')),
  -- What a file or a program said last: only when it says something else is what people have changed since replaced.
  declared              jsonb,
  paused_at             timestamptz,
  paused_by             text,
  pause_reason          text,
  paused_until          timestamptz,
  -- The first moment of which nothing became yet, and when its job is made.
  next_at               timestamptz,
  due_at                timestamptz,
  -- When that was reckoned: in the future only after the clock was set back.
  planned_at            timestamptz NOT NULL,
  last_planned_for      timestamptz,
  last_fired_at         timestamptz,
  last_job_id           uuid,
  last_status           text,
  last_finished_at      timestamptz,
  last_duration_ms      bigint,
  last_success_at       timestamptz,
  -- Its last success; or when it was made, changed, resumed or its pause ended, if that was later. Without a success for so
  -- long from then on it is stale.
  fresh_at              timestamptz NOT NULL,
  stale_after_ms        bigint,
  -- The longest time from one of its moments to the next.
  interval_ms           bigint,
  consecutive_failures  integer     NOT NULL DEFAULT 0,
  missed_runs           bigint      NOT NULL DEFAULT 0,
  -- How many lines it has had in its history.
  lines                 bigint      NOT NULL DEFAULT 0,
  version               bigint      NOT NULL DEFAULT 1,
  created_at            timestamptz NOT NULL,
  created_by            text        NOT NULL,
  updated_at            timestamptz NOT NULL,
  updated_by            text        NOT NULL,
  CHECK ((paused_at IS NULL) = (paused_by IS NULL)),
  CHECK ((next_at IS NULL) = (due_at IS NULL))
) WITH (fillfactor = 60);
CREATE INDEX idx_jobforge_schedules_due ON jobforge_schedules (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX idx_jobforge_schedules_tenant ON jobforge_schedules (tenant_id, name);

-- One line for each moment, or for several beside each other that share their fate. That a schedule fires once for each
-- moment, whoever fires it, is the primary key.
CREATE TABLE jobforge_schedule_runs (
  schedule       text        NOT NULL REFERENCES jobforge_schedules (name) ON DELETE CASCADE,
  planned_for    timestamptz NOT NULL,
  line           bigint      NOT NULL,
  outcome        text        NOT NULL CHECK (outcome IN ('ran', 'late', 'missed', 'skipped')),
  why            text,
  ticks          bigint      NOT NULL DEFAULT 1 CHECK (ticks >= 1),
  planned_until  timestamptz,
  recorded_at    timestamptz NOT NULL,
  triggered_by   text,
  -- Its job, and how that ended. The line stays when the job is purged.
  job_id         uuid,
  status         text,
  finished_at    timestamptz,
  duration_ms    bigint,
  PRIMARY KEY (schedule, planned_for)
) WITH (fillfactor = 80);
CREATE INDEX idx_jobforge_schedule_runs_line ON jobforge_schedule_runs (schedule, line);
CREATE INDEX idx_jobforge_schedule_runs_open ON jobforge_schedule_runs (schedule, planned_for)
  WHERE job_id IS NOT NULL AND finished_at IS NULL;

-- Which server fires schedules: one row. It saves the others work; that each moment fires once does not depend on it.
CREATE TABLE jobforge_scheduler (
  one           boolean     PRIMARY KEY DEFAULT true CHECK (one),
  leader        text        NOT NULL,
  lease_until   timestamptz NOT NULL,
  last_tick_at  timestamptz NOT NULL
) WITH (fillfactor = 20);
