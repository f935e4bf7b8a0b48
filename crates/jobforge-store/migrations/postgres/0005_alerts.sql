-- Alerts that JobForge judges itself: what processes told, what holds, who was told, and what is silenced.

-- The lines of /metrics that rules look at, one row a process and half minute, so that any server can judge the whole.
CREATE TABLE jobforge_samples (
  at       timestamptz NOT NULL,
  process  text        NOT NULL,
  series   text        NOT NULL,
  PRIMARY KEY (at, process)
);

-- What holds, waiting or firing, and what has ceased to in the last days. Labels are JSON with sorted names, kept as text:
-- a series is told apart by the very same bytes.
CREATE TABLE jobforge_alerts (
  id           bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  rule         text             NOT NULL,
  labels       text             NOT NULL,
  severity     text             NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
  since        timestamptz      NOT NULL,
  fired_at     timestamptz,
  resolved_at  timestamptz,
  value        double precision NOT NULL,
  summary      text             NOT NULL,
  CHECK (resolved_at IS NULL OR fired_at IS NOT NULL)
);
CREATE UNIQUE INDEX idx_jobforge_alerts_active ON jobforge_alerts (rule, labels) WHERE resolved_at IS NULL;
CREATE INDEX idx_jobforge_alerts_resolved ON jobforge_alerts (resolved_at) WHERE resolved_at IS NOT NULL;

-- Which channel was told of which alert, and when last.
CREATE TABLE jobforge_alerts_told (
  channel   text        NOT NULL,
  rule      text        NOT NULL,
  labels    text        NOT NULL,
  fired_at  timestamptz NOT NULL,
  at        timestamptz NOT NULL,
  PRIMARY KEY (channel, rule, labels, fired_at)
);

CREATE TABLE jobforge_silences (
  id          uuid        PRIMARY KEY,
  rule        text        NOT NULL,
  labels      text        NOT NULL,
  until       timestamptz NOT NULL,
  created_at  timestamptz NOT NULL,
  created_by  text        NOT NULL,
  reason      text
);
CREATE INDEX idx_jobforge_silences_until ON jobforge_silences (until);

-- One row: which server judges, and the name by which receivers tell this database's incidents from others'.
CREATE TABLE jobforge_alert_turn (
  one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
  fleet       text        NOT NULL,
  judge       text,
  turn_until  timestamptz,
  judged_at   timestamptz
) WITH (fillfactor = 20);
INSERT INTO jobforge_alert_turn (fleet) VALUES (substr(replace(gen_random_uuid()::text, '-', ''), 1, 12));
