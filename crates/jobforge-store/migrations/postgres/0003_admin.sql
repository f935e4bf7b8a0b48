-- Who may ask, who did what, what is configured, and what goes on in the background.

-- Bearer tokens. Of the secret only a digest is kept.
CREATE TABLE jobforge_tokens (
  id            text        PRIMARY KEY,
  name          text        NOT NULL,
  scopes        text[]      NOT NULL,
  tenant_id     text,
  -- The only queues that it puts jobs into and takes jobs from; null is every queue.
  queues        text[],
  hash          text        NOT NULL,
  created_at    timestamptz NOT NULL,
  created_by    text        NOT NULL,
  expires_at    timestamptz,
  revoked_at    timestamptz,
  last_used_at  timestamptz
);

-- Settings that every process goes by, unless its own flags, environment or file say otherwise.
CREATE TABLE jobforge_settings (
  key         text        PRIMARY KEY,
  value       text        NOT NULL,
  version     bigint      NOT NULL,
  updated_at  timestamptz NOT NULL,
  updated_by  text        NOT NULL,
  reason      text,
  -- When it stops counting.
  expires_at  timestamptz
);

-- One row. Its version grows with every change of the settings.
CREATE TABLE jobforge_settings_version (
  only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  version   bigint  NOT NULL
);
INSERT INTO jobforge_settings_version (version) VALUES (0);

-- Who did what. Written in the transaction of the deed, without a place; sealed soon after, each place with a hash over
-- the entry and the hash before. Before and after are JSON kept as text, for a hash needs the very same bytes.
CREATE TABLE jobforge_audit (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at          timestamptz NOT NULL,
  actor       text        NOT NULL,
  reason      text,
  request_id  text,
  address     text,
  action      text        NOT NULL,
  target      text,
  tenant_id   text,
  before      text,
  after       text,
  place       bigint      UNIQUE,
  hash        text,
  CHECK ((place IS NULL) = (hash IS NULL))
);
CREATE INDEX idx_jobforge_audit_unsealed ON jobforge_audit (id) WHERE place IS NULL;
CREATE INDEX idx_jobforge_audit_target ON jobforge_audit (target, id);

-- Writes one entry. SQL functions call it as well: by is {"actor": …, "reason": …, "request_id": …, "address": …}.
CREATE FUNCTION jobforge_audit_add(by jsonb, action text, target text, tenant_id text, before text, after text)
RETURNS bigint LANGUAGE sql VOLATILE AS $$
  INSERT INTO jobforge_audit (at, actor, reason, request_id, address, action, target, tenant_id, before, after)
  VALUES (jobforge_now(), coalesce(by ->> 'actor', 'sql:' || session_user), by ->> 'reason', by ->> 'request_id',
          by ->> 'address', action, target, tenant_id, before, after)
  RETURNING id
$$;

-- An operator's raw UPDATE is told of as well. The guard of the same rows decides whether it may be.
CREATE FUNCTION jobforge_audit_raw() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM jobforge_audit_add(
    jsonb_build_object('actor', 'sql:' || session_user), 'job.update', NEW.id::text, NEW.tenant_id,
    jsonb_build_object('status', OLD.status)::text, jsonb_build_object('status', NEW.status)::text);
  RETURN NULL;
END $$;
CREATE TRIGGER jobforge_jobs_audited AFTER UPDATE ON jobforge_jobs
  FOR EACH ROW WHEN (NEW.revision = OLD.revision AND NEW.status <> OLD.status) EXECUTE FUNCTION jobforge_audit_raw();

-- Operations on many jobs, and how far they are. Whoever has the turn goes on with one until its turn is over.
CREATE TABLE jobforge_operations (
  id           uuid        PRIMARY KEY,
  action       text        NOT NULL,
  filter       jsonb       NOT NULL,
  dry_run      boolean     NOT NULL,
  state        text        NOT NULL CHECK (state IN ('running', 'done', 'canceled', 'failed')),
  done         bigint      NOT NULL DEFAULT 0,
  passed_over  bigint      NOT NULL DEFAULT 0,
  cursor       uuid,
  by           jsonb       NOT NULL,
  error        text,
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL,
  finished_at  timestamptz,
  turn_of      text,
  turn_until   timestamptz
);
CREATE INDEX idx_jobforge_operations_running ON jobforge_operations (created_at) WHERE state = 'running';
