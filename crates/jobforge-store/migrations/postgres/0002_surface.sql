-- The SQL surface: what other programs may call with nothing but a PostgreSQL driver, and who sees what.
--
-- A role that owns the tables, may bypass row security or is a member of jobforge_service is trusted: it sees every
-- tenant. Everybody else acts for one tenant, which jobforge_tenant() tells, and without one sees and may do nothing.
-- Refusals carry a SQLSTATE of their own, a stable word as DETAIL and the way out as HINT:
-- JF400 bad input, JF403 not for this tenant, JF404 no such job or worker, JF409 it is not in the state for that.

CREATE TABLE jobforge_connector_configs (
  id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  tenant_id       text        NOT NULL CHECK (tenant_id <> ''),
  connector_type  text        NOT NULL CHECK (connector_type <> ''),
  config          jsonb       NOT NULL DEFAULT '{}',
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT jobforge_connector_configs_unique UNIQUE (tenant_id, connector_type)
);

CREATE FUNCTION jobforge_fail(state text, word text, message text, hint text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = 'code: ' || word, HINT = hint;
END $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Who calls

-- The role that called, also within functions that run as their owner.
CREATE FUNCTION jobforge_caller() RETURNS name LANGUAGE sql STABLE AS $$
  SELECT CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role')::name END
$$;

-- Whether a role sees every tenant.
CREATE FUNCTION jobforge_is_trusted(who name) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT
    FROM pg_roles r
    WHERE r.rolname = who
      AND (r.rolsuper
        OR r.rolbypassrls
        OR pg_has_role(r.oid, (SELECT relowner FROM pg_class WHERE oid = 'jobforge_jobs'::regclass), 'USAGE')
        OR EXISTS (SELECT FROM pg_roles s WHERE s.rolname = 'jobforge_service' AND pg_has_role(r.oid, s.oid, 'USAGE')))
  )
$$;

-- The tenant that the caller acts for, or null. Where a signed web token came with the request (PostgREST), the token
-- alone decides, for a setting could be anybody's.
CREATE FUNCTION jobforge_tenant() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT nullif(CASE
    WHEN coalesce(current_setting('request.jwt.claims', true), '') <> '' THEN coalesce(
      current_setting('request.jwt.claims', true)::jsonb ->> 'tenant_id',
      current_setting('request.jwt.claims', true)::jsonb -> 'app_metadata' ->> 'tenant_id')
    ELSE coalesce(nullif(current_setting('jobforge.tenant', true), ''), current_setting('app.tenant_id', true))
  END, '')
$$;

-- The tenant that a caller is kept to: null for a trusted one. Refuses a caller that has none.
CREATE FUNCTION jobforge_bound() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  tenant text := jobforge_tenant();
BEGIN
  IF jobforge_is_trusted(jobforge_caller()) THEN
    RETURN NULL;
  END IF;
  IF tenant IS NULL THEN
    PERFORM jobforge_fail('JF403', 'tenant_missing', format('role %s acts for no tenant', jobforge_caller()),
      'SET LOCAL jobforge.tenant = ''…'' at the start of the transaction, or call as a member of jobforge_service');
  END IF;
  IF coalesce(current_setting('jobforge.now', true), '') <> '' THEN
    PERFORM jobforge_fail('JF403', 'clock_fixed', 'jobforge.now is for tests only', 'RESET jobforge.now');
  END IF;
  RETURN tenant;
END $$;

-- Refuses a tenant that is no name, or not the caller's.
CREATE FUNCTION jobforge_check_tenant(tenant text) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
  bound text := jobforge_bound();
BEGIN
  PERFORM jobforge_check_name('p_tenant_id', tenant);
  IF tenant <> bound THEN
    PERFORM jobforge_fail('JF403', 'tenant_mismatch', format('role %s acts for tenant %s, not for %s', jobforge_caller(), bound, tenant),
      'name the tenant of jobforge.tenant, or call as a member of jobforge_service');
  END IF;
END $$;

CREATE FUNCTION jobforge_check_name(field text, name text) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF name IS NULL OR name !~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$' THEN
    PERFORM jobforge_fail('JF400', 'bad_name', format('%s is %s, which is no usable name', field, coalesce(quote_literal(left(name, 60)), 'missing')),
      'use 1 to 128 of the characters a-z A-Z 0-9 . _ : - and begin with a letter or digit');
  END IF;
END $$;

CREATE FUNCTION jobforge_check_range(field text, value bigint, lowest bigint, highest bigint) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF value IS NULL OR value NOT BETWEEN lowest AND highest THEN
    PERFORM jobforge_fail('JF400', 'out_of_range', format('%s is %s', field, coalesce(value::text, 'missing')),
      format('allowed is %s to %s', lowest, highest));
  END IF;
END $$;

CREATE FUNCTION jobforge_not_found(job uuid) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  PERFORM jobforge_fail('JF404', 'job_not_found', format('job %s not found', coalesce(job::text, '(null)')),
    'jobforge_list_jobs(tenant) lists a tenant''s jobs; another tenant''s job counts as missing');
END $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Putting jobs in and looking at them

-- A UUID of version 7: 48 bits of milliseconds, version and variant, the rest random.
CREATE FUNCTION jobforge_new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

-- Refuses JSON that a worker could not read back: too large, too deep, numbers with too many digits.
CREATE FUNCTION jobforge_check_payload(payload jsonb) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF payload IS NULL THEN
    PERFORM jobforge_fail('JF400', 'body_empty', 'p_payload is missing', 'pass ''{}'' for a job without input');
  END IF;
  IF octet_length(payload::text) > 1048576 THEN
    PERFORM jobforge_fail('JF400', 'payload_too_large', format('p_payload has %s bytes of at most 1048576', octet_length(payload::text)),
      'store the data elsewhere and pass a reference such as {"data_ref": …}');
  END IF;
  IF jsonb_path_exists(payload, 'strict $.**{64 to last}') THEN
    PERFORM jobforge_fail('JF400', 'too_deep', 'p_payload is nested more than 64 deep', 'flatten it');
  END IF;
  IF EXISTS (SELECT FROM jsonb_path_query(payload, 'strict $.** ? (@.type() == "number")') number WHERE length(number::text) > 64) THEN
    PERFORM jobforge_fail('JF400', 'number_out_of_range', 'p_payload has a number of more than 64 digits', 'pass it as text');
  END IF;
END $$;

-- Enqueues a job and returns its row, with `created`: false if the key's job existed already.
CREATE FUNCTION jobforge_enqueue_job(
  p_tenant_id text, p_type text, p_payload jsonb DEFAULT '{}', p_idempotency_key text DEFAULT NULL,
  p_run_at timestamptz DEFAULT NULL, p_max_attempts integer DEFAULT 5, p_queue text DEFAULT 'default',
  p_priority integer DEFAULT 0, p_timeout_ms bigint DEFAULT NULL, p_tags text[] DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  job jobforge_jobs;
  is_new boolean;
BEGIN
  PERFORM jobforge_check_tenant(p_tenant_id);
  PERFORM jobforge_check_name('p_type', p_type);
  PERFORM jobforge_check_name('p_queue', p_queue);
  PERFORM jobforge_check_payload(p_payload);
  PERFORM jobforge_check_range('p_max_attempts', p_max_attempts, 1, 1000);
  PERFORM jobforge_check_range('p_priority', p_priority, -32768, 32767);
  PERFORM jobforge_check_range('p_timeout_ms', coalesce(p_timeout_ms, 100), 100, 604800000);
  IF NOT isfinite(p_run_at) OR p_run_at >= '9999-01-01T00:00:00Z' THEN
    PERFORM jobforge_fail('JF400', 'time_out_of_range', format('p_run_at is %s', p_run_at), 'the year 9998 is the last');
  END IF;
  IF p_idempotency_key = '' OR octet_length(p_idempotency_key) > 255 OR p_idempotency_key ~ '(^\s)|(\s$)|[[:cntrl:]]' THEN
    PERFORM jobforge_fail('JF400', 'bad_idempotency_key', format('p_idempotency_key has %s bytes', octet_length(p_idempotency_key)),
      'use 1 to 255 bytes without control characters or spaces at the ends, or null');
  END IF;
  IF cardinality(p_tags) > 20
    OR EXISTS (SELECT FROM unnest(p_tags) tag WHERE tag IS NULL OR octet_length(tag) NOT BETWEEN 1 AND 64 OR tag ~ '[[:cntrl:]]') THEN
    PERFORM jobforge_fail('JF400', 'bad_tag', 'p_tags cannot be used', 'use at most 20 tags of 1 to 64 printable bytes');
  END IF;
  FOR try IN 1 .. 5 LOOP
    INSERT INTO jobforge_jobs (id, tenant_id, type, payload, idempotency_key, run_at, max_attempts, queue, priority, timeout_ms, tags,
                               created_by, created_at, updated_at)
    VALUES (jobforge_new_id(), p_tenant_id, p_type, p_payload, p_idempotency_key, coalesce(p_run_at, jobforge_now()), p_max_attempts,
            p_queue, p_priority, p_timeout_ms, nullif(p_tags, '{}'), 'sql:' || jobforge_caller(), jobforge_now(), jobforge_now())
    ON CONFLICT (tenant_id, type, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING * INTO job;
    is_new := FOUND;
    IF NOT is_new THEN
      SELECT * INTO job FROM jobforge_jobs j
      WHERE j.tenant_id = p_tenant_id AND j.type = p_type AND j.idempotency_key = p_idempotency_key;
    END IF;
    -- Not there either: deleted in between, so the key is free again.
    EXIT WHEN FOUND;
  END LOOP;
  IF job.id IS NULL THEN
    PERFORM jobforge_fail('JF409', 'busy', format('key %s is taken and let go all the time', p_idempotency_key), 'call again');
  END IF;
  IF job.payload <> p_payload THEN
    PERFORM jobforge_fail('JF409', 'idempotency_conflict',
      format('idempotency key %s of type %s already belongs to job %s, whose payload differs', p_idempotency_key, p_type, job.id),
      'use another key, or send the same payload');
  END IF;
  RETURN to_jsonb(job) || jsonb_build_object('created', is_new);
END $$;

CREATE FUNCTION jobforge_enqueue_job(
  p_tenant_uuid uuid, p_type text, p_payload jsonb DEFAULT '{}', p_idempotency_key text DEFAULT NULL,
  p_run_at timestamptz DEFAULT NULL, p_max_attempts integer DEFAULT 5, p_queue text DEFAULT 'default',
  p_priority integer DEFAULT 0, p_timeout_ms bigint DEFAULT NULL, p_tags text[] DEFAULT NULL
) RETURNS jsonb LANGUAGE sql SECURITY DEFINER AS $$
  SELECT jobforge_enqueue_job(p_tenant_uuid::text, p_type, p_payload, p_idempotency_key, p_run_at, p_max_attempts, p_queue, p_priority,
                              p_timeout_ms, p_tags)
$$;

-- Lists a tenant's jobs, newest first. Filters: status (a word or an array), type, queue, limit (50, at most 1000), offset.
CREATE FUNCTION jobforge_list_jobs(p_tenant_id text, p_filters jsonb DEFAULT '{}')
RETURNS SETOF jobforge_jobs LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
  words CONSTANT text[] := ARRAY['queued', 'running', 'succeeded', 'failed', 'dead', 'canceled'];
  filters jsonb := coalesce(p_filters, '{}');
  statuses text[];
  stranger text;
BEGIN
  PERFORM jobforge_check_tenant(p_tenant_id);
  IF jsonb_typeof(filters) <> 'object' THEN
    PERFORM jobforge_fail('JF400', 'wrong_type', 'p_filters is no object', 'pass {"status": "dead", "limit": 50}');
  END IF;
  SELECT key INTO stranger FROM jsonb_object_keys(filters) key WHERE key NOT IN ('status', 'type', 'queue', 'limit', 'offset');
  IF FOUND THEN
    PERFORM jobforge_fail('JF400', 'unknown_field', format('p_filters has the unknown key %s', quote_literal(left(stranger, 60))),
      'known are status, type, queue, limit, offset');
  END IF;
  IF jsonb_typeof(filters -> 'status') = 'array' THEN
    statuses := ARRAY(SELECT jsonb_array_elements_text(filters -> 'status'));
  ELSIF filters ->> 'status' IS NOT NULL THEN
    statuses := ARRAY[filters ->> 'status'];
  END IF;
  IF NOT statuses <@ words THEN
    PERFORM jobforge_fail('JF400', 'bad_status', format('%s is no status', quote_literal(left(statuses::text, 60))), 'known are ' || array_to_string(words, ', '));
  END IF;
  IF jsonb_typeof(coalesce(filters -> 'limit', '50')) <> 'number' OR jsonb_typeof(coalesce(filters -> 'offset', '0')) <> 'number' THEN
    PERFORM jobforge_fail('JF400', 'wrong_type', 'limit and offset are numbers', 'pass {"limit": 50, "offset": 0}');
  END IF;
  PERFORM jobforge_check_range('limit', round(coalesce((filters ->> 'limit')::numeric, 50))::bigint, 1, 1000);
  PERFORM jobforge_check_range('offset', round(coalesce((filters ->> 'offset')::numeric, 0))::bigint, 0, 1000000);
  RETURN QUERY
    SELECT * FROM jobforge_jobs j
    WHERE j.tenant_id = p_tenant_id
      AND (statuses IS NULL OR j.status = ANY (statuses))
      AND (filters ->> 'type' IS NULL OR j.type = filters ->> 'type')
      AND (filters ->> 'queue' IS NULL OR j.queue = filters ->> 'queue')
    ORDER BY j.created_at DESC, j.id DESC
    LIMIT round(coalesce((filters ->> 'limit')::numeric, 50)) OFFSET round(coalesce((filters ->> 'offset')::numeric, 0));
END $$;

CREATE FUNCTION jobforge_list_jobs(p_tenant_uuid uuid, p_filters jsonb DEFAULT '{}')
RETURNS SETOF jobforge_jobs LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT * FROM jobforge_list_jobs(p_tenant_uuid::text, p_filters)
$$;

-- ---------------------------------------------------------------------------------------------------------------------
-- A worker that speaks SQL

-- Finds the worker, locks it and renews its lease; makes it known, or anew, where p_lease_ms says how long a lease is.
--
-- Such a worker has no process that could be watched, so its pid is 0; its name says for whom it works, and nobody else
-- may use its id.
CREATE FUNCTION jobforge_sql_worker(p_worker_id text, p_lease_ms bigint) RETURNS jobforge_workers LANGUAGE plpgsql AS $$
DECLARE
  tick timestamptz := jobforge_now();
  label text := 'sql' || coalesce(':' || jobforge_bound(), '');
  worker jobforge_workers;
  held bigint;
BEGIN
  PERFORM jobforge_check_name('p_worker_id', p_worker_id);
  SELECT * INTO worker FROM jobforge_workers WHERE id = p_worker_id FOR UPDATE;
  IF NOT FOUND AND p_lease_ms IS NOT NULL THEN
    INSERT INTO jobforge_workers (id, name, hostname, pid, queues, slots, state, lease_ms, started_at, last_heartbeat_at, lease_expires_at)
    VALUES (p_worker_id, label, coalesce(host(inet_client_addr()), 'local'), 0, '{}', 0, 'live', p_lease_ms, tick, tick,
            tick + p_lease_ms * interval '1 ms')
    ON CONFLICT (id) DO NOTHING;
    SELECT * INTO worker FROM jobforge_workers WHERE id = p_worker_id FOR UPDATE;
  END IF;
  IF worker.id IS NULL THEN
    PERFORM jobforge_fail('JF404', 'worker_unknown', format('worker %s has claimed nothing', p_worker_id), 'claim first, with jobforge_claim_jobs');
  END IF;
  IF worker.pid <> 0 OR worker.name IS DISTINCT FROM label THEN
    PERFORM jobforge_fail('JF409', 'worker_id_taken', format('worker id %s is somebody else''s', p_worker_id),
      'give each worker an id of its own, such as worker- and eight random hex digits');
  END IF;
  IF worker.state NOT IN ('live', 'draining') OR worker.lease_expires_at <= tick THEN
    SELECT count(*) INTO held FROM jobforge_jobs WHERE status = 'running' AND locked_by = p_worker_id;
    IF p_lease_ms IS NULL OR held > 0 THEN
      PERFORM jobforge_fail('JF409', 'lease_lost', format('worker %s was not heard for %s s and has lost its lease, and with it %s running job(s)',
          p_worker_id, round(extract(epoch FROM tick - worker.last_heartbeat_at)), held),
        'stop working on them, for others get them; then claim under a new worker id. Send heartbeats more often, or raise p_lease_seconds');
    END IF;
    worker.state := 'live';
    worker.started_at := tick;
  END IF;
  UPDATE jobforge_workers
  SET state = worker.state,
      started_at = worker.started_at,
      lease_ms = coalesce(p_lease_ms, lease_ms),
      last_heartbeat_at = tick,
      lease_expires_at = tick + coalesce(p_lease_ms, lease_ms) * interval '1 ms',
      ended_at = NULL,
      end_reason = NULL,
      suspect_at = NULL
  WHERE id = p_worker_id
  RETURNING * INTO worker;
  RETURN worker;
END $$;

-- Takes jobs of one queue for a worker and marks them running. Uses idx_jobforge_ready and the primary key, as claim.sql.
CREATE FUNCTION jobforge_take(worker text, from_queue text, of_types text[], most bigint, run_alone boolean, of_tenant text, lease_ms bigint)
RETURNS SETOF jobforge_jobs LANGUAGE sql AS $$
  WITH taken AS MATERIALIZED (
    DELETE FROM jobforge_ready
    WHERE ctid = ANY (ARRAY(
      SELECT r.ctid
      FROM jobforge_ready r
      WHERE r.queue = from_queue
        AND r.alone = run_alone
        AND r.run_at <= (SELECT jobforge_now())
        AND (of_types IS NULL OR r.type = ANY (of_types))
        AND (of_tenant IS NULL OR EXISTS (SELECT FROM jobforge_jobs j WHERE j.id = r.id AND j.tenant_id = of_tenant))
        AND NOT EXISTS (SELECT FROM jobforge_queues q WHERE q.name = from_queue AND q.paused_at IS NOT NULL)
      ORDER BY r.priority, r.run_at, r.id
      LIMIT most
      FOR UPDATE OF r SKIP LOCKED
    ))
    RETURNING id
  ), claimed AS (
    UPDATE jobforge_jobs j
    SET status = 'running',
        attempts = j.attempts + 1,
        lease = j.lease + 1,
        revision = j.revision + 1,
        locked_by = worker,
        locked_at = jobforge_now(),
        started_at = jobforge_now(),
        heartbeat_at = jobforge_now(),
        heartbeat_due_at = jobforge_now() + lease_ms * interval '1 ms',
        deadline_at = jobforge_now() + j.timeout_ms * interval '1 ms',
        progress_limit_ms = j.progress_timeout_ms,
        progress = NULL,
        progress_message = NULL,
        phase = NULL,
        progress_at = NULL,
        items_processed = 0,
        items_failed = 0,
        items_skipped = 0,
        updated_at = jobforge_now()
    FROM taken
    WHERE j.id = taken.id AND j.status IS NOT DISTINCT FROM 'queued' AND j.run_at <= (SELECT jobforge_now())
    RETURNING j.*
  )
  SELECT * FROM claimed ORDER BY priority, run_at, id
$$;

-- Takes the most urgent jobs for a worker, which becomes known by its first claim and alive by each.
--
-- The worker keeps them as long as it is heard: each claim and heartbeat renews its lease of p_lease_seconds.
CREATE FUNCTION jobforge_claim_jobs(
  p_worker_id text, p_limit integer DEFAULT 10, p_queues text[] DEFAULT ARRAY['default'], p_types text[] DEFAULT NULL,
  p_lease_seconds integer DEFAULT 60
) RETURNS SETOF jobforge_jobs LANGUAGE plpgsql SECURITY DEFINER
-- As the product's own connections have it: plans must not depend on the statistics of an empty table.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  bound text := jobforge_bound();
  from_queue text;
  got bigint;
  missing bigint := p_limit;
BEGIN
  PERFORM jobforge_check_range('p_limit', p_limit, 1, 1000);
  PERFORM jobforge_check_range('p_lease_seconds', p_lease_seconds, 2, 86400);
  PERFORM jobforge_check_range('the number of p_queues', cardinality(p_queues), 1, 100);
  PERFORM jobforge_sql_worker(p_worker_id, p_lease_seconds * 1000);
  UPDATE jobforge_workers SET queues = p_queues, types = p_types, slots = p_limit WHERE id = p_worker_id;
  -- A job that killed its workers runs alone.
  IF EXISTS (SELECT FROM jobforge_jobs WHERE status = 'running' AND locked_by = p_worker_id AND alone) THEN
    RETURN;
  END IF;
  WITH due AS (
    DELETE FROM jobforge_scheduled
    WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM jobforge_scheduled WHERE run_at <= (SELECT jobforge_now()) ORDER BY run_at LIMIT 1000 FOR UPDATE SKIP LOCKED))
    RETURNING id, queue, priority, run_at, type, alone
  )
  INSERT INTO jobforge_ready (id, queue, priority, run_at, type, alone)
  SELECT id, queue, priority, run_at, type, alone FROM due;
  FOREACH from_queue IN ARRAY p_queues LOOP
    RETURN QUERY SELECT * FROM jobforge_take(p_worker_id, from_queue, p_types, missing, false, bound, p_lease_seconds * 1000);
    GET DIAGNOSTICS got = ROW_COUNT;
    missing := missing - got;
    EXIT WHEN missing = 0;
  END LOOP;
  IF missing < p_limit OR EXISTS (SELECT FROM jobforge_jobs WHERE status = 'running' AND locked_by = p_worker_id) THEN
    RETURN;
  END IF;
  FOREACH from_queue IN ARRAY p_queues LOOP
    RETURN QUERY SELECT * FROM jobforge_take(p_worker_id, from_queue, p_types, 1, true, bound, p_lease_seconds * 1000);
    EXIT WHEN FOUND;
  END LOOP;
END $$;

-- Says why a job is not the worker's, in an error.
CREATE FUNCTION jobforge_not_yours(p_job_id uuid, p_worker_id text, p_lease bigint) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
  job jobforge_jobs;
BEGIN
  SELECT * INTO job FROM jobforge_jobs WHERE id = p_job_id AND tenant_id = coalesce(jobforge_bound(), tenant_id);
  IF NOT FOUND THEN
    PERFORM jobforge_not_found(p_job_id);
  END IF;
  IF job.status = 'canceled' THEN
    PERFORM jobforge_fail('JF409', 'job_canceled', format('job %s was canceled', p_job_id), 'stop working on it; nothing more is to be reported');
  END IF;
  PERFORM jobforge_fail('JF409', 'claim_lost',
    format('job %s is not locked by worker %s%s: it is %s under lease %s', p_job_id, p_worker_id,
           coalesce(format(' under lease %s', p_lease), ''), job.status, job.lease),
    'stop working on it: it was reset, taken back or settled; its result is not wanted any more');
END $$;

-- Renews the worker's lease and the job's, stores what is reported, and returns until when the worker is believed alive.
-- A worker that is refused has lost the job and must stop working on it.
CREATE FUNCTION jobforge_heartbeat_job(
  p_job_id uuid, p_worker_id text, p_lease bigint DEFAULT NULL, p_progress integer DEFAULT NULL, p_message text DEFAULT NULL,
  p_phase text DEFAULT NULL
) RETURNS timestamptz LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  worker jobforge_workers := jobforge_sql_worker(p_worker_id, NULL);
BEGIN
  UPDATE jobforge_jobs j
  SET revision = j.revision + 1,
      heartbeat_at = jobforge_now(),
      heartbeat_due_at = worker.lease_expires_at,
      progress = coalesce(least(greatest(p_progress, 0), 100)::smallint, j.progress),
      progress_message = coalesce(left(p_message, 1000), j.progress_message),
      phase = coalesce(left(p_phase, 100), j.phase),
      progress_at = CASE WHEN num_nonnulls(p_progress, p_message, p_phase) = 0 THEN j.progress_at ELSE jobforge_now() END
  WHERE j.id = p_job_id AND j.locked_by IS NOT DISTINCT FROM p_worker_id AND j.status IS NOT DISTINCT FROM 'running'
    AND j.lease = coalesce(p_lease, j.lease) AND j.tenant_id = coalesce(jobforge_bound(), j.tenant_id);
  IF NOT FOUND THEN
    PERFORM jobforge_not_yours(p_job_id, p_worker_id, p_lease);
  END IF;
  RETURN worker.lease_expires_at;
END $$;

-- The wait after a failed attempt, as RetryPolicy::delay has it: grows by a factor up to a bound, is spread at random, and
-- never overflows.
CREATE FUNCTION jobforge_backoff(policy jsonb, attempt integer, random double precision) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
  SELECT least(
      base * CASE WHEN factor = 1 THEN 1 ELSE power(factor, least(greatest(attempt, 1) - 1, ln(1e15) / ln(factor))) END,
      most
    ) * (1 + jitter * (2 * random - 1)) * interval '1 ms'
  FROM (
    SELECT coalesce((policy ->> 'base_ms')::double precision, 1000) AS base,
           coalesce((policy ->> 'factor')::double precision, 2) AS factor,
           coalesce((policy ->> 'max_ms')::double precision, 3600000) AS most,
           coalesce((policy ->> 'jitter')::double precision, 0.2) AS jitter
  ) p
$$;

-- An error as JobForge stores it, whatever the worker gave: always a message, a kind, and whether to try again.
CREATE FUNCTION jobforge_error(given jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object(
      'message', left(coalesce(
        nullif(btrim(CASE jsonb_typeof(given) WHEN 'string' THEN given #>> '{}' ELSE coalesce(given ->> 'message', given ->> 'error') END), ''),
        'the worker failed without a message'), 4000),
      'kind', coalesce(given ->> 'kind', given ->> 'name', given ->> 'type', 'error'),
      'retryable', coalesce(given -> 'retryable' <> 'false', true))
    || CASE
      WHEN jsonb_typeof(given) <> 'object' OR octet_length(given::text) > 65536 THEN '{}'
      WHEN given ? 'details' THEN jsonb_build_object('details', given -> 'details')
      WHEN given - known <> '{}' THEN jsonb_build_object('details', given - known)
      ELSE '{}'
    END
  FROM (SELECT '{message,error,kind,name,type,retryable}'::text[] AS known) k
$$;

-- Ends an attempt. A failure is tried again after a growing wait, unless p_error says "retryable": false; after the last
-- attempt the job is dead. Sent again, it changes nothing. Pass p_lease, which the claim returned: without it two workers
-- that share an id could end each other's jobs.
CREATE FUNCTION jobforge_complete_job(
  p_job_id uuid, p_worker_id text, p_status text, p_error jsonb DEFAULT NULL, p_result jsonb DEFAULT NULL,
  p_artifact_ref text DEFAULT NULL, p_lease bigint DEFAULT NULL
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  bound text := jobforge_bound();
  failure jsonb;
  job jobforge_jobs;
  becomes text := 'succeeded';
  result uuid;
BEGIN
  IF p_status IS NULL OR p_status NOT IN ('succeeded', 'failed') THEN
    PERFORM jobforge_fail('JF400', 'bad_status', format('p_status is %s', coalesce(quote_literal(left(p_status, 60)), 'missing')), 'say succeeded or failed');
  END IF;
  IF (p_status = 'succeeded' AND p_error <> 'null') OR (p_status = 'failed' AND (p_result <> 'null' OR p_artifact_ref IS NOT NULL)) THEN
    PERFORM jobforge_fail('JF400', 'result_and_error', format('a job that %s has no %s', p_status, CASE p_status WHEN 'failed' THEN 'result' ELSE 'error' END),
      'pass p_error for failed, p_result and p_artifact_ref for succeeded');
  END IF;
  -- The worker's row first, then the job's, as a heartbeat locks them.
  PERFORM FROM jobforge_workers WHERE id = p_worker_id AND pid = 0 AND name = 'sql' || coalesce(':' || bound, '') FOR UPDATE;
  IF NOT FOUND THEN
    PERFORM jobforge_fail('JF404', 'worker_unknown', format('worker %s has claimed nothing', coalesce(p_worker_id, '(null)')), 'claim first, with jobforge_claim_jobs');
  END IF;
  SELECT * INTO job FROM jobforge_jobs WHERE id = p_job_id AND tenant_id = coalesce(bound, tenant_id) FOR UPDATE;
  IF job.status IS DISTINCT FROM 'running' OR job.locked_by IS DISTINCT FROM p_worker_id OR job.lease <> coalesce(p_lease, job.lease) THEN
    -- The same report again: it was heard, only the answer was lost.
    IF job.last_worker = p_worker_id AND job.status <> 'running' AND (job.lease = p_lease OR (p_lease IS NULL AND job.status = 'succeeded' AND p_status = 'succeeded')) THEN
      RETURN jsonb_build_object('id', job.id, 'status', job.status, 'attempts', job.attempts, 'run_at', job.run_at, 'replayed', true);
    END IF;
    PERFORM jobforge_not_yours(p_job_id, p_worker_id, p_lease);
  END IF;
  IF p_status = 'failed' THEN
    failure := jobforge_error(p_error);
    becomes := CASE
      WHEN failure -> 'retryable' = 'false' THEN 'failed'
      WHEN job.attempts >= job.max_attempts THEN 'dead'
      ELSE 'queued'
    END;
  ELSIF octet_length(p_result::text) > 1048576 THEN
    failure := jsonb_build_object('kind', 'result_too_large', 'retryable', false, 'message', format(
      'the result has %s bytes; at most 1048576 can be stored: store it elsewhere and return a reference', octet_length(p_result::text)));
    becomes := 'failed';
  ELSIF p_result IS NOT NULL OR p_artifact_ref IS NOT NULL THEN
    INSERT INTO jobforge_job_results AS r (job_id, tenant_id, result, artifact_ref, created_at)
    VALUES (job.id, job.tenant_id, coalesce(p_result, '{}'), p_artifact_ref, jobforge_now())
    ON CONFLICT (job_id) DO UPDATE
    SET id = excluded.id, result = excluded.result, artifact_ref = excluded.artifact_ref, created_at = excluded.created_at
    RETURNING r.id INTO result;
  END IF;
  IF becomes <> 'succeeded' OR job.attempts > 1 THEN
    INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at, error)
    VALUES (job.id, job.tenant_id, job.attempts, job.lease, p_worker_id, CASE becomes WHEN 'queued' THEN 'retry' ELSE becomes END,
            job.started_at, jobforge_now(), failure)
    ON CONFLICT (job_id, lease) DO NOTHING;
  END IF;
  UPDATE jobforge_jobs j
  SET status = becomes,
      revision = j.revision + 1,
      queued_because = CASE becomes WHEN 'queued' THEN 'retry' ELSE j.queued_because END,
      run_at = CASE becomes WHEN 'queued' THEN jobforge_now() + jobforge_backoff(j.retry, j.attempts, random()) ELSE j.run_at END,
      finished_at = CASE WHEN becomes <> 'queued' THEN jobforge_now() END,
      last_worker = j.locked_by,
      locked_by = NULL,
      locked_at = NULL,
      heartbeat_due_at = NULL,
      deadline_at = NULL,
      progress_limit_ms = NULL,
      error = failure,
      result_id = coalesce(result, j.result_id),
      updated_at = jobforge_now()
  WHERE j.id = job.id
  RETURNING * INTO job;
  UPDATE jobforge_workers
  SET last_heartbeat_at = jobforge_now(), lease_expires_at = jobforge_now() + lease_ms * interval '1 ms'
  WHERE id = p_worker_id AND state IN ('live', 'draining') AND lease_expires_at > jobforge_now();
  RETURN jsonb_build_object('id', job.id, 'status', job.status, 'attempts', job.attempts, 'run_at', job.run_at, 'replayed', false);
END $$;

-- Says goodbye: what the worker still holds is given back without using an attempt. Returns how many jobs that were.
CREATE FUNCTION jobforge_leave_worker(p_worker_id text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  given bigint;
BEGIN
  PERFORM jobforge_sql_worker(p_worker_id, NULL);
  WITH released AS (
    UPDATE jobforge_jobs j
    SET status = 'queued', revision = j.revision + 1, queued_because = 'release', attempts = greatest(j.attempts - 1, 0),
        run_at = jobforge_now(), last_worker = j.locked_by, locked_by = NULL, locked_at = NULL, heartbeat_due_at = NULL,
        deadline_at = NULL, progress_limit_ms = NULL, updated_at = jobforge_now()
    WHERE j.status = 'running' AND j.locked_by = p_worker_id
    RETURNING j.id, j.tenant_id, j.attempts + 1 AS attempt_no, j.lease, j.started_at
  )
  INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at)
  SELECT id, tenant_id, attempt_no, lease, p_worker_id, 'released', started_at, jobforge_now() FROM released
  ON CONFLICT (job_id, lease) DO NOTHING;
  GET DIAGNOSTICS given = ROW_COUNT;
  UPDATE jobforge_workers SET state = 'gone', ended_at = jobforge_now(), end_reason = 'left' WHERE id = p_worker_id;
  RETURN given;
END $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Moving jobs by hand

-- Cancels a queued or running job; its worker is fenced and told. One that is canceled already stays so.
CREATE FUNCTION jobforge_cancel_job(p_job_id uuid, p_tenant_id text) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  job jobforge_jobs;
BEGIN
  PERFORM jobforge_check_tenant(p_tenant_id);
  SELECT * INTO job FROM jobforge_jobs WHERE id = p_job_id AND tenant_id = p_tenant_id FOR UPDATE;
  IF NOT FOUND THEN
    PERFORM jobforge_not_found(p_job_id);
  END IF;
  IF job.status IN ('succeeded', 'failed', 'dead') THEN
    PERFORM jobforge_fail('JF409', 'invalid_transition', format('job %s has ended as %s and cannot be canceled', p_job_id, job.status),
      'only queued and running jobs can be; jobforge_reschedule_job runs it again');
  END IF;
  IF job.status <> 'canceled' THEN
    IF job.status = 'running' THEN
      INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at)
      VALUES (job.id, job.tenant_id, job.attempts, job.lease, job.locked_by, 'canceled', job.started_at, jobforge_now())
      ON CONFLICT (job_id, lease) DO NOTHING;
      PERFORM pg_notify('jobforge', 'moved:' || job.id);
    END IF;
    UPDATE jobforge_jobs j
    SET status = 'canceled', revision = j.revision + 1, lease = j.lease + 1, finished_at = jobforge_now(),
        last_worker = coalesce(j.locked_by, j.last_worker), locked_by = NULL, locked_at = NULL, heartbeat_due_at = NULL,
        deadline_at = NULL, progress_limit_ms = NULL, updated_at = jobforge_now()
    WHERE j.id = job.id;
  END IF;
  RETURN jsonb_build_object('id', job.id, 'status', 'canceled', 'was', job.status);
END $$;

CREATE FUNCTION jobforge_cancel_job(p_job_id uuid, p_tenant_uuid uuid) RETURNS jsonb LANGUAGE sql SECURITY DEFINER AS $$
  SELECT jobforge_cancel_job(p_job_id, p_tenant_uuid::text)
$$;

-- Queues a waiting or ended job at a time of choice, as if it were new: attempts, error, end, misses, progress and the
-- result of the earlier run are gone. What was, stays in jobforge_job_attempts.
CREATE FUNCTION jobforge_reschedule_job(p_job_id uuid, p_tenant_id text, p_run_at timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  job jobforge_jobs;
  due timestamptz := coalesce(p_run_at, jobforge_now());
BEGIN
  PERFORM jobforge_check_tenant(p_tenant_id);
  IF NOT isfinite(due) OR due >= '9999-01-01T00:00:00Z' THEN
    PERFORM jobforge_fail('JF400', 'time_out_of_range', format('p_run_at is %s', due), 'the year 9998 is the last');
  END IF;
  SELECT * INTO job FROM jobforge_jobs WHERE id = p_job_id AND tenant_id = p_tenant_id FOR UPDATE;
  IF NOT FOUND THEN
    PERFORM jobforge_not_found(p_job_id);
  END IF;
  IF job.status = 'running' THEN
    PERFORM jobforge_fail('JF409', 'invalid_transition', format('job %s is running and cannot be rescheduled', p_job_id),
      'cancel it first with jobforge_cancel_job; its worker is told to stop');
  END IF;
  IF job.status = 'succeeded' THEN
    INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at)
    VALUES (job.id, job.tenant_id, job.attempts, job.lease, job.last_worker, 'succeeded', job.started_at, job.finished_at)
    ON CONFLICT (job_id, lease) DO NOTHING;
  END IF;
  DELETE FROM jobforge_job_results WHERE job_id = job.id;
  UPDATE jobforge_jobs j
  SET status = 'queued', revision = j.revision + 1, lease = j.lease + 1, run_at = due, queued_because = 'operator', attempts = 0,
      misses = 0, crashes = NULL, alone = false, error = NULL, finished_at = NULL, result_id = NULL, checkpoint = NULL,
      dead_group = NULL, resolved_at = NULL, resolved_by = NULL, resolution = NULL,
      progress = NULL, progress_message = NULL, phase = NULL, progress_at = NULL, updated_at = jobforge_now()
  WHERE j.id = job.id;
  RETURN jsonb_build_object('id', job.id, 'status', 'queued', 'was', job.status, 'run_at', due);
END $$;

CREATE FUNCTION jobforge_reschedule_job(p_job_id uuid, p_tenant_uuid uuid, p_run_at timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE sql SECURITY DEFINER AS $$
  SELECT jobforge_reschedule_job(p_job_id, p_tenant_uuid::text, p_run_at)
$$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Row security. Owners bypass it, so the product's own connections pay nothing.

CREATE POLICY jobforge_tenant ON jobforge_jobs FOR SELECT USING (tenant_id = (SELECT jobforge_tenant()));
CREATE POLICY jobforge_tenant ON jobforge_job_results FOR SELECT USING (tenant_id = (SELECT jobforge_tenant()));
CREATE POLICY jobforge_tenant ON jobforge_job_attempts FOR SELECT USING (tenant_id = (SELECT jobforge_tenant()));
CREATE POLICY jobforge_tenant ON jobforge_connector_configs FOR SELECT USING (tenant_id = (SELECT jobforge_tenant()));
CREATE POLICY jobforge_tenant ON jobforge_job_logs FOR SELECT
  USING (EXISTS (SELECT FROM jobforge_jobs j WHERE j.id = job_id AND j.tenant_id = (SELECT jobforge_tenant())));

-- Closes every table of JobForge to all but trusted roles, those of later migrations too. Pins the names that functions see
-- which act with the owner's rights, and those of triggers, for pg_restore works without a search path. The program calls
-- it after every migration.
CREATE FUNCTION jobforge_close() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  home regnamespace := (SELECT relnamespace FROM pg_class WHERE oid = 'jobforge_jobs'::regclass);
  item record;
BEGIN
  FOR item IN
    SELECT c.oid::regclass AS name, c.relrowsecurity AS closed,
           EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'jobforge_service') AS served
    FROM pg_class c
    WHERE c.relnamespace = home AND c.relkind IN ('r', 'p') AND c.relname LIKE 'jobforge\_%'
  LOOP
    IF NOT item.closed THEN
      EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', item.name);
    END IF;
    IF NOT item.served THEN
      EXECUTE format('CREATE POLICY jobforge_service ON %s USING ((SELECT jobforge_is_trusted(current_user))) '
                     'WITH CHECK ((SELECT jobforge_is_trusted(current_user)))', item.name);
    END IF;
  END LOOP;
  FOR item IN
    SELECT p.oid::regprocedure AS name, p.prosecdef AS as_owner
    FROM pg_proc p
    WHERE p.pronamespace = home
      AND (p.prosecdef OR p.prorettype = 'trigger'::regtype OR p.proname IN ('jobforge_is_trusted', 'jobforge_close', 'jobforge_grant'))
      AND p.proname LIKE 'jobforge\_%'
      AND coalesce(array_to_string(p.proconfig, ' '), '') NOT LIKE '%search_path%'
  LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %s, pg_temp', item.name, home);
    IF item.as_owner THEN
      EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', item.name);
    END IF;
  END LOOP;
END $$;

-- Makes the three roles where this user may, and gives each what it needs; says in words what it did or could not do.
CREATE FUNCTION jobforge_grant() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  home regnamespace := (SELECT relnamespace FROM pg_class WHERE oid = 'jobforge_jobs'::regclass);
  may_create boolean := (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user);
  readable CONSTANT text[] := ARRAY['jobforge_jobs', 'jobforge_job_results', 'jobforge_job_attempts', 'jobforge_job_logs',
                                    'jobforge_connector_configs'];
  runbook_views CONSTANT text[] := ARRAY['qc_jobs', 'executions', 'worker_heartbeats', 'job_dlq'];
  who text;
  item record;
BEGIN
  FOREACH who IN ARRAY ARRAY['jobforge_app', 'jobforge_readonly', 'jobforge_service'] LOOP
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = who) THEN
      CONTINUE;
    ELSIF may_create THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', who);
        RETURN NEXT format('created role %s', who);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- Another program was faster.
      END;
    ELSE
      RETURN NEXT format('role %s does not exist and %s may not create roles: have it made by CREATE ROLE %s NOLOGIN, then run `jobforge db grant`',
                         who, current_user, who);
    END IF;
  END LOOP;
  -- Hosts with PostgREST give web roles every new table and function; nothing here is for them.
  FOR who IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
    FOR item IN
      SELECT format('TABLE %s', oid::regclass) AS what FROM pg_class
      WHERE relnamespace = home AND relkind IN ('r', 'p', 'v') AND (relname LIKE 'jobforge\_%' OR obj_description(oid, 'pg_class') LIKE 'JobForge %')
      UNION ALL
      SELECT format('FUNCTION %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = home AND proname LIKE 'jobforge\_%' AND prosecdef
    LOOP
      EXECUTE format('REVOKE ALL ON %s FROM %I', item.what, who);
    END LOOP;
  END LOOP;
  FOR who IN SELECT rolname FROM pg_roles WHERE rolname IN ('jobforge_app', 'jobforge_readonly', 'jobforge_service') LOOP
    BEGIN
      EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', home, who);
    EXCEPTION WHEN insufficient_privilege THEN
      RETURN NEXT format('%s may not GRANT USAGE ON SCHEMA %s TO %s: have its owner do so', current_user, home, who);
    END;
    FOR item IN
      SELECT c.oid::regclass AS name, c.relname, c.relkind
      FROM pg_class c
      WHERE c.relnamespace = home
        AND ((c.relkind IN ('r', 'p') AND c.relname LIKE 'jobforge\_%')
          OR (c.relkind = 'v' AND c.relname = ANY (runbook_views) AND obj_description(c.oid, 'pg_class') LIKE 'JobForge %'))
    LOOP
      IF item.relkind = 'v' OR item.relname = 'jobforge_migrations' OR who <> 'jobforge_service' THEN
        IF who = 'jobforge_service' OR item.relkind = 'v' OR item.relname = ANY (readable) THEN
          EXECUTE format('GRANT SELECT ON %s TO %I', item.name, who);
        END IF;
      ELSE
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', item.name, who);
      END IF;
    END LOOP;
    FOR item IN
      SELECT oid::regprocedure AS name FROM pg_proc
      WHERE pronamespace = home AND proname LIKE 'jobforge\_%' AND prosecdef AND (who <> 'jobforge_readonly' OR proname = 'jobforge_list_jobs')
    LOOP
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', item.name, who);
    END LOOP;
  END LOOP;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'jobforge_service') THEN
    BEGIN
      GRANT jobforge_service TO service_role;
    EXCEPTION WHEN insufficient_privilege THEN
      RETURN NEXT format('%s may not GRANT jobforge_service TO service_role: have it done by whoever made the role', current_user);
    END;
  END IF;
END $$;
