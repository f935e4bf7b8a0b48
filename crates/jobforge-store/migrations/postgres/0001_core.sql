-- The core of JobForge on PostgreSQL 14 and later.
--
-- jobforge_jobs is the truth: one wide row a job. jobforge_ready and jobforge_scheduled are slim side tables that say
-- which queued jobs may be claimed and which wait for their time; claiming takes a row from jobforge_ready and marks the
-- job running in one statement. A side row that is wrong claims nothing, because the job's own row is asked again.

-- The clock of every statement. Tests fix it with SET LOCAL jobforge.now; nobody else sets it.
CREATE FUNCTION jobforge_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('jobforge.now', true), '')::timestamptz, now())
$$;

-- The silent gaps of an attempt with another one, which has ended: at most 16, the longest. Asked only when there is one, so a
-- punctual heartbeat pays a comparison.
CREATE FUNCTION jobforge_silent_gaps(kept jsonb, last_heard timestamptz, interval_ms bigint, ended timestamptz)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_agg(one ORDER BY one ->> 'ended_at')
  FROM (
    SELECT one
    FROM jsonb_array_elements(coalesce(kept, '[]') || jsonb_build_object(
      'ended_at', to_char(ended AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
      'ms', floor(extract(epoch FROM ended - last_heard) * 1000)::bigint,
      'interval_ms', interval_ms
    )) one
    ORDER BY (one ->> 'ms')::bigint DESC, one ->> 'ended_at'
    LIMIT 16
  ) longest
$$;

CREATE TABLE jobforge_jobs (
  id                uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  tenant_id         text        NOT NULL DEFAULT 'default' CHECK (tenant_id <> ''),
  type              text        NOT NULL CHECK (type <> ''),
  payload           jsonb       NOT NULL DEFAULT '{}',
  status            text        NOT NULL DEFAULT 'queued'
                    CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'dead', 'canceled')),
  attempts          integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  max_attempts      integer     NOT NULL DEFAULT 5 CHECK (max_attempts >= 1),
  run_at            timestamptz NOT NULL DEFAULT now() CHECK (isfinite(run_at)),
  locked_by         text,
  locked_at         timestamptz,
  heartbeat_at      timestamptz,
  started_at        timestamptz,
  finished_at       timestamptz,
  idempotency_key   text        CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
  error             jsonb,
  result_id         uuid,
  created_by        text,
  created_at        timestamptz NOT NULL DEFAULT now(),
  updated_at        timestamptz NOT NULL DEFAULT now(),
  queue             text        NOT NULL DEFAULT 'default' CHECK (queue <> ''),
  priority          smallint    NOT NULL DEFAULT 0,
  lease             bigint      NOT NULL DEFAULT 0 CHECK (lease >= 0),
  -- Grows with every change that JobForge makes; a change that leaves it alone came from raw SQL and is guarded below.
  revision          bigint      NOT NULL DEFAULT 0,
  last_worker       text,
  heartbeat_due_at  timestamptz,
  deadline_at       timestamptz,
  timeout_ms        bigint      CHECK (timeout_ms > 0),
  progress_timeout_ms bigint    CHECK (progress_timeout_ms > 0),
  -- How long the running attempt may stand still: the job's own bound, or what its worker said of its type.
  progress_limit_ms bigint,
  -- What was heard of the last attempt: its heartbeats, how long its worker meant to wait for the next one, and its silent gaps.
  beats             integer     NOT NULL DEFAULT 0,
  beat_interval_ms  bigint,
  silent_gaps       jsonb,
  misses            integer     NOT NULL DEFAULT 0 CHECK (misses >= 0),
  -- Deaths of workers in which it was running, if there were any; after the second it runs alone.
  crashes           jsonb,
  alone             boolean     NOT NULL DEFAULT false,
  queued_because    text        NOT NULL DEFAULT 'enqueued',
  progress          smallint    CHECK (progress BETWEEN 0 AND 100),
  progress_message  text,
  phase             text,
  progress_at       timestamptz,
  items_processed   bigint      NOT NULL DEFAULT 0,
  items_failed      bigint      NOT NULL DEFAULT 0,
  items_skipped     bigint      NOT NULL DEFAULT 0,
  checkpoint        jsonb,
  tags              text[],
  traceparent       text,
  retry             jsonb,
  -- What a dead job died of: a fingerprint, filled in by whoever asks or by the housekeeper. And a person's word that it
  -- stays dead.
  dead_group        text,
  resolved_at       timestamptz,
  resolved_by       text,
  resolution        text
) WITH (
  -- Half of each page stays free, so that the two updates of a job's life find room beside it.
  fillfactor = 45,
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05
);

-- The operators' view of what is waiting, with the name that runbook 5 looks for. It leads with run_at because that is
-- what their query orders by; the queue itself claims through jobforge_ready.
CREATE INDEX idx_jobforge_jobs_claim ON jobforge_jobs (run_at) WHERE status = 'queued';
CREATE INDEX idx_jobforge_jobs_running ON jobforge_jobs (locked_by) WHERE status = 'running';
CREATE INDEX idx_jobforge_jobs_finished ON jobforge_jobs (finished_at) INCLUDE (status, tenant_id)
  WHERE finished_at IS NOT NULL;
-- The key comes first so that it can be looked up alone.
CREATE UNIQUE INDEX idx_jobforge_jobs_idempotency
  ON jobforge_jobs (idempotency_key, type, tenant_id) WHERE idempotency_key IS NOT NULL;
-- The rest holds only what went wrong, so that the common life of a job does not pay for it: every update of a job's life
-- writes into each index that has it, and one plain index more cost a tenth of the drain. Lists by tenant, type and queue
-- go through jobforge_listed, which is written once a job.
CREATE INDEX idx_jobforge_jobs_dead ON jobforge_jobs (dead_group, finished_at) INCLUDE (tenant_id, queue, resolved_at)
  WHERE status = 'dead';
CREATE INDEX idx_jobforge_jobs_fallen ON jobforge_jobs (status, id) WHERE status IN ('failed', 'dead', 'canceled');
-- With all that counting what fell of a tenant lately asks.
CREATE INDEX idx_jobforge_jobs_fallen_tenant ON jobforge_jobs (tenant_id, status, id) INCLUDE (finished_at)
  WHERE status IN ('failed', 'dead', 'canceled');
CREATE INDEX idx_jobforge_jobs_unnamed ON jobforge_jobs (id) WHERE status = 'dead' AND dead_group IS NULL;
CREATE INDEX idx_jobforge_jobs_dead_listed ON jobforge_jobs (dead_group, id) WHERE status = 'dead';
-- What a filter asks stands in the index, so that a type that few dead jobs have is found without reading them all.
CREATE INDEX idx_jobforge_jobs_dead_newest ON jobforge_jobs (id, type, queue, tenant_id) WHERE status = 'dead';
CREATE INDEX idx_jobforge_jobs_died ON jobforge_jobs (finished_at) WHERE status = 'dead';
CREATE INDEX idx_jobforge_jobs_fallen_made ON jobforge_jobs (status, created_at)
  WHERE status IN ('failed', 'dead', 'canceled');
-- By hash, for a message may be longer than a sorted index takes.
CREATE INDEX idx_jobforge_jobs_error ON jobforge_jobs USING hash ((error ->> 'message')) WHERE error IS NOT NULL;
-- A few bytes for each stretch of the table: what was enqueued lately lies together.
CREATE INDEX idx_jobforge_jobs_made ON jobforge_jobs USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);

-- Ended jobs that fell silent and went on. The common life of a job does not come here.
CREATE INDEX idx_jobforge_jobs_silent ON jobforge_jobs (finished_at) WHERE silent_gaps IS NOT NULL;

CREATE TABLE jobforge_ready (
  id        uuid        NOT NULL,
  queue     text        NOT NULL,
  priority  smallint    NOT NULL,
  run_at    timestamptz NOT NULL,
  type      text        NOT NULL,
  alone     boolean     NOT NULL DEFAULT false
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX idx_jobforge_ready ON jobforge_ready (queue, alone, priority, run_at, id);

CREATE TABLE jobforge_scheduled (
  id        uuid        NOT NULL,
  queue     text        NOT NULL,
  priority  smallint    NOT NULL,
  run_at    timestamptz NOT NULL,
  type      text        NOT NULL,
  alone     boolean     NOT NULL DEFAULT false,
  -- Whether it waits for another attempt.
  retrying  boolean     NOT NULL DEFAULT false
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX idx_jobforge_scheduled ON jobforge_scheduled (run_at);

-- What lists by tenant, type and queue go through: each combination of the three is a kind, and each job stands under one.
-- A row is written when its job is, and never again. Two transactions that meet a new combination at the same time make a
-- kind each rather than wait for each other; a list reads both.
CREATE TABLE jobforge_kinds (
  kind       integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id  text        NOT NULL,
  type       text        NOT NULL,
  queue      text        NOT NULL
);
CREATE INDEX idx_jobforge_kinds ON jobforge_kinds (tenant_id, type, queue);

CREATE TABLE jobforge_listed (
  kind  integer  NOT NULL,
  id    uuid     NOT NULL
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX idx_jobforge_listed ON jobforge_listed (kind, id);

-- The same for each tag of a job.
CREATE TABLE jobforge_tagged (
  tag  text  NOT NULL,
  id   uuid  NOT NULL
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX idx_jobforge_tagged ON jobforge_tagged (tag, id);

CREATE TABLE jobforge_job_results (
  id            uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  job_id        uuid        NOT NULL UNIQUE REFERENCES jobforge_jobs (id) ON DELETE CASCADE,
  tenant_id     text        NOT NULL,
  result        jsonb       NOT NULL DEFAULT '{}',
  artifact_ref  text,
  created_at    timestamptz NOT NULL DEFAULT now()
);

-- A success at the first attempt writes no row here: the job's own row tells it whole.
CREATE TABLE jobforge_job_attempts (
  id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  job_id       uuid        NOT NULL REFERENCES jobforge_jobs (id) ON DELETE CASCADE,
  tenant_id    text        NOT NULL,
  attempt_no   integer     NOT NULL,
  lease        bigint      NOT NULL,
  worker_id    text,
  outcome      text        NOT NULL,
  started_at   timestamptz,
  finished_at  timestamptz,
  error        jsonb,
  -- When its worker said that the handler goes on although the job was taken from it, and how many of its reports were
  -- refused since.
  stop_ignored_at  timestamptz,
  refused      integer     NOT NULL DEFAULT 0,
  -- What was heard of it, as the job's row had it.
  beats        integer     NOT NULL DEFAULT 0,
  heartbeat_at timestamptz,
  beat_interval_ms  bigint,
  silent_gaps  jsonb,
  created_at   timestamptz NOT NULL DEFAULT now(),
  UNIQUE (job_id, lease)
);
CREATE INDEX idx_jobforge_job_attempts_silent ON jobforge_job_attempts (finished_at)
  WHERE silent_gaps IS NOT NULL OR (error ->> 'kind') = 'heartbeat_late';

CREATE TABLE jobforge_job_logs (
  job_id      uuid        NOT NULL REFERENCES jobforge_jobs (id) ON DELETE CASCADE,
  lease       bigint      NOT NULL,
  attempt_no  integer     NOT NULL,
  tail        text        NOT NULL,
  updated_at  timestamptz NOT NULL,
  PRIMARY KEY (job_id, lease)
);

-- How far attempts said they had come: at most 64 points each, of the newest fences of a job. A row a point, for a report then
-- writes a small row rather than all that is kept once more.
CREATE TABLE jobforge_job_progress (
  job_id     uuid         NOT NULL REFERENCES jobforge_jobs (id) ON DELETE CASCADE,
  lease      bigint       NOT NULL,
  report_no  integer      NOT NULL,
  at         timestamptz  NOT NULL,
  progress   smallint     CHECK (progress BETWEEN 0 AND 100),
  phase      text,
  message    text,
  PRIMARY KEY (job_id, lease, report_no)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);

-- Notes a report of a running attempt, by the rule of jobforge_core::progress: nothing if it says nothing new; and once there
-- are 64 points, one of the inner ones gives way, a change of phase last, otherwise the one whose neighbours are closest
-- together. Mostly that is the last one, which is then written over. Called by whoever has just changed the job's row, so that
-- nobody else notes a report of the job at the same time.
-- In plpgsql, whose every statement sees what was committed while it waited for that row. Uses the primary key.
CREATE FUNCTION jobforge_note_progress(of_job uuid, of_lease bigint, percent smallint, named text, said text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  newest jobforge_job_progress;
  before jobforge_job_progress;
  point jobforge_job_progress;
  began timestamptz;
BEGIN
  SELECT * INTO newest FROM jobforge_job_progress p
  WHERE p.job_id = of_job AND p.lease = of_lease
  ORDER BY p.report_no DESC
  LIMIT 1;
  point.progress := coalesce(percent, newest.progress);
  point.phase := coalesce(left(named, 100), newest.phase);
  point.message := coalesce(left(said, 200), newest.message);
  IF (point.progress, point.phase, point.message) IS NOT DISTINCT FROM (newest.progress, newest.phase, newest.message) THEN
    RETURN;
  END IF;
  point.at := jobforge_now();
  IF newest.report_no >= 64 THEN
    SELECT * INTO before FROM jobforge_job_progress p
    WHERE p.job_id = of_job AND p.lease = of_lease AND p.report_no < newest.report_no
    ORDER BY p.report_no DESC
    LIMIT 1;
    SELECT p.at INTO began FROM jobforge_job_progress p
    WHERE p.job_id = of_job AND p.lease = of_lease
    ORDER BY p.report_no
    LIMIT 1;
    IF newest.phase IS NOT DISTINCT FROM before.phase AND (point.at - before.at) * 63 <= point.at - began THEN
      UPDATE jobforge_job_progress p
      SET at = point.at,
          progress = point.progress,
          phase = point.phase,
          message = point.message
      WHERE p.job_id = of_job AND p.lease = of_lease AND p.report_no = newest.report_no;
      RETURN;
    END IF;
  END IF;
  INSERT INTO jobforge_job_progress (job_id, lease, report_no, at, progress, phase, message)
  VALUES (of_job, of_lease, coalesce(newest.report_no, 0) + 1, point.at, point.progress, point.phase, point.message);
  IF newest.report_no IS NULL THEN
    DELETE FROM jobforge_job_progress p WHERE p.job_id = of_job AND p.lease <= of_lease - 32;
  ELSIF newest.report_no >= 64 THEN
    DELETE FROM jobforge_job_progress p
    WHERE p.job_id = of_job AND p.lease = of_lease AND p.report_no = (
      SELECT o.report_no
      FROM (
        SELECT i.report_no,
               i.phase IS DISTINCT FROM lag(i.phase) OVER w AS turns,
               lead(i.at) OVER w - lag(i.at) OVER w AS apart
        FROM jobforge_job_progress i
        WHERE i.job_id = of_job AND i.lease = of_lease
        WINDOW w AS (ORDER BY i.report_no)
      ) o
      WHERE o.apart IS NOT NULL
      ORDER BY o.turns, o.apart, o.report_no
      LIMIT 1
    );
  END IF;
END $$;

CREATE TABLE jobforge_workers (
  id                 text        PRIMARY KEY,
  name               text,
  hostname           text        NOT NULL,
  pid                bigint      NOT NULL,
  queues             text[]      NOT NULL,
  types              text[],
  slots              integer     NOT NULL,
  state              text        NOT NULL CHECK (state IN ('live', 'draining', 'gone', 'lost', 'dead')),
  lease_ms           bigint      NOT NULL CHECK (lease_ms > 0),
  -- Whether the lease may grow with the fleet.
  lease_scales       boolean     NOT NULL DEFAULT false,
  -- How long the lease was when it was last given. A shorter one takes nothing from it: its worker may not know of it yet.
  granted_ms         bigint      NOT NULL CHECK (granted_ms > 0),
  started_at         timestamptz NOT NULL,
  last_heartbeat_at  timestamptz NOT NULL,
  lease_expires_at   timestamptz NOT NULL,
  ended_at           timestamptz,
  end_reason         text,
  -- What proofs of death go by; unknown where the operating system does not tell.
  machine_id         text,
  boot_id            text,
  pid_namespace      bigint,
  process_start      bigint,
  slot               text,
  slot_id            text,
  death              jsonb,
  -- How many jobs its process was running when it was proven dead.
  died_with          integer,
  -- Since when its supervisor sees the process stopped, and since when its connection is lost.
  stopped_at         timestamptz,
  suspect_at         timestamptz,
  -- When it was told to restart, if it was. It gets no job from then on.
  restart_at         timestamptz,
  -- Who registered it over the network: a token by its public id, or by what configures it.
  registered_by      text,
  CHECK ((state IN ('gone', 'lost', 'dead')) = (ended_at IS NOT NULL))
) WITH (fillfactor = 50);

-- Which history of the server this is: it grows by one whenever a standby takes over. Within one it never changes.
CREATE FUNCTION jobforge_timeline() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint
$$;

-- What goes for all workers: one row.
CREATE TABLE jobforge_fleet (
  one             boolean     PRIMARY KEY DEFAULT true CHECK (one),
  -- The shortest lease of workers that let it grow.
  least_lease_ms  bigint      NOT NULL DEFAULT 0,
  -- The history in which leases were given out, and the one in which JobForge was set up.
  timeline        bigint      NOT NULL DEFAULT jobforge_timeline(),
  first_timeline  bigint      NOT NULL DEFAULT jobforge_timeline(),
  -- Lease numbers of a later history are above all that an earlier one can have given out and lost.
  lease_base      bigint      NOT NULL GENERATED ALWAYS AS (greatest(timeline - first_timeline, 0) << 32) STORED,
  -- Nothing is claimed before: workers of the earlier history make themselves heard first.
  claims_from     timestamptz
);
INSERT INTO jobforge_fleet DEFAULT VALUES;

-- Takes note that a standby has taken over, if nobody has yet.
--
-- The last claims and renewals may be lost with the server that it took over from. So nothing is claimed for the longest
-- lease, and each worker is given a whole one: by then it has renewed here and asked for its jobs, or stopped.
CREATE FUNCTION jobforge_notice_failover() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE jobforge_fleet
  SET timeline = jobforge_timeline(),
      claims_from = jobforge_now() + interval '1 ms' * greatest(least_lease_ms, coalesce(
        (SELECT max(granted_ms) FROM jobforge_workers WHERE state IN ('live', 'draining')),
        0
      ))
  WHERE one AND timeline <> jobforge_timeline();
  IF FOUND THEN
    UPDATE jobforge_workers
    SET lease_expires_at = greatest(lease_expires_at, jobforge_now() + granted_ms * interval '1 ms')
    WHERE state IN ('live', 'draining');
  END IF;
END $$;

-- When executions last succeeded, by the name under which they are counted: kept to the second, whatever is purged.
--
-- Names are not unique, so that nobody waits for anybody: whoever finds the row of a name taken, perhaps by a transaction
-- that stays open for minutes, writes another. The latest counts, and tidying leaves one.
CREATE TABLE jobforge_successes (
  name     text        NOT NULL,
  last_at  timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX idx_jobforge_successes ON jobforge_successes (name);

-- Notes that executions of these names have succeeded now, unless that was noted within a second.
CREATE FUNCTION jobforge_note_successes(names text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WITH stale AS (
    SELECT DISTINCT n.name
    FROM unnest(names) n (name)
    WHERE NOT EXISTS (
      SELECT FROM jobforge_successes s WHERE s.name = n.name AND s.last_at > jobforge_now() - interval '1 s'
    )
  ), noted AS (
    UPDATE jobforge_successes
    SET last_at = jobforge_now()
    WHERE ctid = ANY (ARRAY(
      SELECT s.ctid FROM jobforge_successes s JOIN stale ON stale.name = s.name FOR UPDATE OF s SKIP LOCKED
    ))
    RETURNING name
  )
  INSERT INTO jobforge_successes (name, last_at)
  SELECT name, jobforge_now() FROM stale WHERE name NOT IN (SELECT name FROM noted);
END $$;

CREATE TABLE jobforge_queues (
  name       text        PRIMARY KEY,
  paused_at  timestamptz
);

-- Who watches. A row is updated every few seconds while its watchdog lives.
CREATE TABLE jobforge_watchdogs (
  id                 text        PRIMARY KEY,
  started_at         timestamptz NOT NULL,
  last_sign_at       timestamptz NOT NULL,
  check_interval_ms  bigint      NOT NULL,
  -- What holds its verdicts back, and until when.
  guard              text,
  guard_until        timestamptz
) WITH (fillfactor = 50);

-- Who keeps house: one row, of whoever did so last.
CREATE TABLE jobforge_housekeeper (
  one           boolean     PRIMARY KEY DEFAULT true CHECK (one),
  id            text        NOT NULL,
  last_sign_at  timestamptz NOT NULL
) WITH (fillfactor = 20);

-- What watchdogs did: every run of the check interval, and every other that found something.
CREATE TABLE jobforge_watchdog_runs (
  id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  watchdog      text        NOT NULL,
  started_at    timestamptz NOT NULL,
  duration_ms   bigint      NOT NULL,
  trigger       text        NOT NULL,
  guard         text,
  suspects      bigint      NOT NULL,
  workers_lost  bigint      NOT NULL,
  requeued      bigint      NOT NULL,
  ended         bigint      NOT NULL,
  lost_races    bigint      NOT NULL,
  verdicts      jsonb       NOT NULL,
  error         text
);
CREATE INDEX idx_jobforge_watchdog_runs ON jobforge_watchdog_runs (started_at);

-- A running job has an owner and no other has; an ended job has an end and no other has. No CHECK of the table says so,
-- because an operator's raw UPDATE may break it until the trigger below has mended it.
CREATE FUNCTION jobforge_is_whole(status text, locked_by text, locked_at timestamptz, finished_at timestamptz)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN status = 'running' THEN locked_by IS NOT NULL AND locked_at IS NOT NULL AND finished_at IS NULL
    ELSE locked_by IS NULL AND locked_at IS NULL AND (status = 'queued') = (finished_at IS NULL)
  END
$$;

CREATE FUNCTION jobforge_refuse(job uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'job % would have an owner without running, or an end without having ended', job
    USING ERRCODE = 'check_violation',
          HINT = 'only a running job has locked_by and locked_at, and only an ended one has finished_at';
END $$;

-- The kind of a combination, made if it is new.
CREATE FUNCTION jobforge_kind(tenant text, job_type text, its_queue text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  found integer;
BEGIN
  SELECT kind INTO found FROM jobforge_kinds k
  WHERE k.tenant_id = tenant AND k.type = job_type AND k.queue = its_queue
  ORDER BY k.tenant_id, k.type, k.queue
  LIMIT 1;
  IF found IS NULL THEN
    INSERT INTO jobforge_kinds (tenant_id, type, queue) VALUES (tenant, job_type, its_queue) RETURNING kind INTO found;
  END IF;
  RETURN found;
END $$;

-- Puts new jobs where lists find them, and queued ones where they can be claimed, and wakes who waits. Called by the
-- triggers only.
CREATE FUNCTION jobforge_offer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  wrong uuid;
BEGIN
  SELECT id INTO wrong FROM fresh WHERE NOT jobforge_is_whole(status, locked_by, locked_at, finished_at) LIMIT 1;
  IF FOUND THEN
    PERFORM jobforge_refuse(wrong);
  END IF;
  WITH met AS MATERIALIZED (
    SELECT tenant_id, type, queue, array_agg(id) AS ids FROM fresh GROUP BY tenant_id, type, queue
  )
  INSERT INTO jobforge_listed (kind, id)
  SELECT named.kind, unnest(met.ids) FROM met CROSS JOIN LATERAL jobforge_kind(met.tenant_id, met.type, met.queue) AS named (kind);
  INSERT INTO jobforge_tagged (tag, id)
  SELECT DISTINCT word, id FROM fresh CROSS JOIN LATERAL unnest(tags) word WHERE tags IS NOT NULL;
  INSERT INTO jobforge_ready (id, queue, priority, run_at, type, alone)
  SELECT id, queue, priority, run_at, type, alone FROM fresh WHERE status = 'queued' AND run_at <= jobforge_now();
  INSERT INTO jobforge_scheduled (id, queue, priority, run_at, type, alone, retrying)
  SELECT id, queue, priority, run_at, type, alone, queued_because IN ('retry', 'rescue')
  FROM fresh
  WHERE status = 'queued' AND run_at > jobforge_now();
  PERFORM pg_notify('jobforge', 'work:' || queue) FROM (SELECT DISTINCT queue FROM fresh WHERE status = 'queued') q;
  RETURN NULL;
END $$;

-- One run per statement, however many rows: COPY, INSERT and pg_restore alike.
CREATE TRIGGER jobforge_jobs_offered AFTER INSERT ON jobforge_jobs
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION jobforge_offer();

CREATE FUNCTION jobforge_unlist() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM jobforge_listed
  WHERE ctid = ANY (ARRAY(
    SELECT l.ctid
    FROM gone g
    JOIN jobforge_kinds k ON k.tenant_id = g.tenant_id AND k.type = g.type AND k.queue = g.queue
    JOIN jobforge_listed l ON l.kind = k.kind AND l.id = g.id
  ));
  DELETE FROM jobforge_tagged
  WHERE ctid = ANY (ARRAY(
    SELECT t.ctid
    FROM gone g
    CROSS JOIN LATERAL unnest(g.tags) AS had (word)
    JOIN jobforge_tagged t ON t.tag = had.word AND t.id = g.id
    WHERE g.tags IS NOT NULL
  ));
  -- Raw SQL may delete a queued job. Where nobody serves its queue, nobody would find out that it is gone.
  DELETE FROM jobforge_ready
  WHERE ctid = ANY (ARRAY(
    SELECT r.ctid
    FROM gone g
    JOIN jobforge_ready r
      ON r.queue = g.queue AND r.alone = g.alone AND r.priority = g.priority AND r.run_at = g.run_at AND r.id = g.id
    WHERE g.status = 'queued'
  ));
  DELETE FROM jobforge_scheduled
  WHERE ctid = ANY (ARRAY(
    SELECT s.ctid
    FROM gone g
    JOIN jobforge_scheduled s ON s.run_at = g.run_at AND s.id = g.id
    WHERE g.status = 'queued'
  ));
  RETURN NULL;
END $$;

CREATE TRIGGER jobforge_jobs_unlisted AFTER DELETE ON jobforge_jobs
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION jobforge_unlist();

-- Lists a job anew that raw SQL gave another tenant, type, queue or other tags.
CREATE FUNCTION jobforge_relist() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM jobforge_listed l USING jobforge_kinds k
  WHERE k.tenant_id = OLD.tenant_id AND k.type = OLD.type AND k.queue = OLD.queue AND l.kind = k.kind AND l.id = OLD.id;
  INSERT INTO jobforge_listed (kind, id) VALUES (jobforge_kind(NEW.tenant_id, NEW.type, NEW.queue), NEW.id);
  DELETE FROM jobforge_tagged t WHERE t.tag = ANY (OLD.tags) AND t.id = OLD.id;
  INSERT INTO jobforge_tagged (tag, id) SELECT DISTINCT word, NEW.id FROM unnest(NEW.tags) word;
  RETURN NULL;
END $$;

CREATE TRIGGER jobforge_jobs_relisted AFTER UPDATE ON jobforge_jobs
  FOR EACH ROW WHEN (
    NEW.revision = OLD.revision
    AND (NEW.id, NEW.tenant_id, NEW.type, NEW.queue, NEW.tags) IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.type, OLD.queue, OLD.tags))
  EXECUTE FUNCTION jobforge_relist();

CREATE FUNCTION jobforge_requeue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status = 'queued' THEN
    DELETE FROM jobforge_ready
      WHERE queue = OLD.queue AND alone = OLD.alone AND priority = OLD.priority AND run_at = OLD.run_at AND id = OLD.id;
    DELETE FROM jobforge_scheduled WHERE run_at = OLD.run_at AND id = OLD.id;
  END IF;
  IF NEW.status = 'queued' THEN
    IF NEW.run_at <= jobforge_now() THEN
      INSERT INTO jobforge_ready (id, queue, priority, run_at, type, alone)
      VALUES (NEW.id, NEW.queue, NEW.priority, NEW.run_at, NEW.type, NEW.alone);
    ELSE
      INSERT INTO jobforge_scheduled (id, queue, priority, run_at, type, alone, retrying)
      VALUES (NEW.id, NEW.queue, NEW.priority, NEW.run_at, NEW.type, NEW.alone, NEW.queued_because IN ('retry', 'rescue'));
    END IF;
    PERFORM pg_notify('jobforge', 'work:' || NEW.queue);
  END IF;
  RETURN NULL;
END $$;

-- Whatever makes a job queued, or changes where it waits, keeps the side tables right. A claim does not come here:
-- it has taken the ready row itself.
CREATE TRIGGER jobforge_jobs_requeued AFTER UPDATE ON jobforge_jobs
  FOR EACH ROW WHEN (
    (NEW.status = 'queued' AND (OLD.status <> 'queued' OR (NEW.queue, NEW.priority, NEW.run_at, NEW.type, NEW.alone)
      IS DISTINCT FROM (OLD.queue, OLD.priority, OLD.run_at, OLD.type, OLD.alone)))
    OR (OLD.status = 'queued' AND NEW.status NOT IN ('queued', 'running')))
  EXECUTE FUNCTION jobforge_requeue();

-- Turns an operator's raw UPDATE into a legal move: the old owner is fenced and its lost attempt recorded, a job that
-- runs again gets a fresh start, and an impossible move is refused with the way out.
CREATE FUNCTION jobforge_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  ended CONSTANT text[] := ARRAY['succeeded', 'failed', 'dead', 'canceled'];
  job jobforge_jobs := NEW;
BEGIN
  IF (OLD.status <> 'running' AND NEW.status = 'running')
    OR (OLD.status <> NEW.status AND NEW.status = 'succeeded')
    OR (OLD.status = ANY (ended) AND NEW.status <> OLD.status AND NEW.status <> 'queued') THEN
    RAISE EXCEPTION 'job % cannot go from % to % by UPDATE', OLD.id, OLD.status, NEW.status
      USING ERRCODE = 'check_violation',
            HINT = 'set status to queued to run it again; only a claim makes a job running, and only its worker makes it succeed';
  END IF;
  job.updated_at := jobforge_now();
  job.lease := greatest(NEW.lease, OLD.lease);
  IF OLD.status = 'running' AND (NEW.status <> 'running' OR NEW.locked_by IS DISTINCT FROM OLD.locked_by) THEN
    job.lease := OLD.lease + 1;
    job.last_worker := OLD.locked_by;
    INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at, error,
                                       beats, heartbeat_at, beat_interval_ms, silent_gaps)
    VALUES (OLD.id, OLD.tenant_id, OLD.attempts, OLD.lease, OLD.locked_by, 'reset', OLD.started_at, job.updated_at,
            jsonb_build_object('kind', 'reset', 'retryable', true,
                               'message', format('reset to %s by SQL of role %s', NEW.status, session_user)),
            OLD.beats, OLD.heartbeat_at, OLD.beat_interval_ms, OLD.silent_gaps)
    ON CONFLICT (job_id, lease) DO NOTHING;
    IF NEW.status <> 'running' THEN
      job.locked_by := NULL;
      job.locked_at := NULL;
      job.heartbeat_due_at := NULL;
      job.deadline_at := NULL;
      job.progress_limit_ms := NULL;
    END IF;
    PERFORM pg_notify('jobforge', 'moved:' || OLD.id);
  END IF;
  IF NEW.status = 'queued' AND OLD.status <> 'queued' THEN
    job.queued_because := 'operator';
    job.finished_at := NULL;
    job.error := NULL;
    job.misses := 0;
    job.crashes := NULL;
    job.dead_group := NULL;
    job.resolved_at := NULL;
    job.resolved_by := NULL;
    job.resolution := NULL;
    job.alone := false;
    job.progress := NULL;
    job.progress_message := NULL;
    job.phase := NULL;
    IF OLD.status = ANY (ended) THEN
      job.lease := OLD.lease + 1;
      job.attempts := 0;
      job.checkpoint := NULL;
      job.result_id := NULL;
      DELETE FROM jobforge_job_results WHERE job_id = OLD.id;
    END IF;
  ELSIF NEW.status = ANY (ended) AND NEW.status <> OLD.status THEN
    job.finished_at := coalesce(NEW.finished_at, job.updated_at);
    job.lease := greatest(job.lease, OLD.lease + 1);
    IF NEW.status IN ('failed', 'dead') AND (NEW.error ->> 'message') IS NULL THEN
      job.error := jsonb_build_object('kind', 'operator', 'retryable', true,
                                      'message', format('marked %s by SQL of role %s', NEW.status, session_user));
    END IF;
  END IF;
  IF NOT jobforge_is_whole(job.status, job.locked_by, job.locked_at, job.finished_at) THEN
    PERFORM jobforge_refuse(OLD.id);
  END IF;
  UPDATE jobforge_jobs
  SET revision = OLD.revision + 1,
      updated_at = job.updated_at,
      lease = job.lease,
      last_worker = job.last_worker,
      locked_by = job.locked_by,
      locked_at = job.locked_at,
      heartbeat_due_at = job.heartbeat_due_at,
      deadline_at = job.deadline_at,
      progress_limit_ms = job.progress_limit_ms,
      queued_because = job.queued_because,
      finished_at = job.finished_at,
      error = job.error,
      misses = job.misses,
      crashes = job.crashes,
      dead_group = job.dead_group,
      resolved_at = job.resolved_at,
      resolved_by = job.resolved_by,
      resolution = job.resolution,
      alone = job.alone,
      progress = job.progress,
      progress_message = job.progress_message,
      phase = job.phase,
      attempts = job.attempts,
      checkpoint = job.checkpoint,
      result_id = job.result_id
  WHERE id = OLD.id;
  RETURN NULL;
END $$;

-- After the row, not before: a trigger before an update locks each row first, which costs a claim and a settlement a
-- third of their time although it has nothing to do there. Its name comes before jobforge_jobs_requeued, as it must run.
CREATE TRIGGER jobforge_jobs_guarded AFTER UPDATE ON jobforge_jobs
  FOR EACH ROW WHEN (NEW.revision = OLD.revision) EXECUTE FUNCTION jobforge_guard();
