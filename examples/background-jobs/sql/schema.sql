-- The tables of the small application. They live beside JobForge's own in one database, so that a job can be enqueued in
-- the transaction that it belongs to. Running this again changes nothing.
CREATE SCHEMA IF NOT EXISTS app;

CREATE TABLE IF NOT EXISTS app.users (
  id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name          text        NOT NULL UNIQUE,
  reputation    integer     NOT NULL DEFAULT 0 CHECK (reputation >= 0),
  reputation_at timestamptz
);

CREATE TABLE IF NOT EXISTS app.badges (
  user_id    bigint      NOT NULL REFERENCES app.users,
  badge      text        NOT NULL,
  awarded_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, badge)
);

CREATE TABLE IF NOT EXISTS app.clips (
  id             bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source_id      text             NOT NULL UNIQUE,
  title          text             NOT NULL,
  creator_id     bigint           NOT NULL REFERENCES app.users,
  views          bigint           NOT NULL DEFAULT 0 CHECK (views >= 0),
  votes          integer          NOT NULL DEFAULT 0,
  created_at     timestamptz      NOT NULL,
  hot_score      double precision NOT NULL DEFAULT 0,
  trending_score double precision NOT NULL DEFAULT 0,
  embedding      real[],
  -- The md5 of the title that the embedding was made of; without an embedding, of one that has no words.
  embedded       text
);
CREATE INDEX IF NOT EXISTS clips_creator ON app.clips (creator_id);

-- The views that a clip gained in an hour. They add up to the clip's views.
CREATE TABLE IF NOT EXISTS app.clip_views (
  clip_id bigint      NOT NULL REFERENCES app.clips,
  hour    timestamptz NOT NULL,
  views   bigint      NOT NULL CHECK (views > 0),
  PRIMARY KEY (clip_id, hour)
);

-- How far a source was read. Moves in the transaction that stores what was read.
CREATE TABLE IF NOT EXISTS app.sync_cursors (
  source   text        PRIMARY KEY,
  position text        NOT NULL,
  moved_at timestamptz NOT NULL DEFAULT now()
);

-- What a source sent and could not be taken over, for people to look at.
CREATE TABLE IF NOT EXISTS app.sync_rejects (
  source    text        NOT NULL,
  source_id text        NOT NULL,
  why       text        NOT NULL,
  seen_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (source, source_id)
);

-- Deliveries that failed when the application made them itself.
--
--   failed ──► handed_over (a job delivers it) ──► delivered
--                                             └──► gave_up
CREATE TABLE IF NOT EXISTS app.webhook_deliveries (
  id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  url        text        NOT NULL,
  event_type text        NOT NULL,
  data       jsonb       NOT NULL,
  secret_ref text,
  status     text        NOT NULL DEFAULT 'failed' CHECK (status IN ('failed', 'handed_over', 'delivered', 'gave_up')),
  -- How often it was handed over: set the status back to `failed` to have it delivered once more.
  round      integer     NOT NULL DEFAULT 0,
  job_id     uuid,
  last_error text,
  retry_at   timestamptz NOT NULL DEFAULT now(),
  CHECK (status = 'failed' OR job_id IS NOT NULL)
);
CREATE INDEX IF NOT EXISTS webhook_deliveries_open ON app.webhook_deliveries (status, retry_at) WHERE status <> 'delivered';
