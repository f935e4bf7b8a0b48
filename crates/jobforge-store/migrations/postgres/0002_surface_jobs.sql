-- The SQL surface, second part: putting jobs in, looking at them and moving them by hand.

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
  IF jsonb_typeof(payload) = 'object' AND EXISTS (SELECT FROM jsonb_object_keys(payload) key WHERE starts_with(key, '$jobforge')) THEN
    PERFORM jobforge_fail('JF400', 'reserved_key', 'p_payload has a key that begins with $jobforge', 'use another name');
  END IF;
  IF jsonb_path_exists(payload, 'strict $.**{64 to last}') THEN
    PERFORM jobforge_fail('JF400', 'too_deep', 'p_payload is nested more than 64 deep', 'flatten it');
  END IF;
  IF EXISTS (SELECT FROM jsonb_path_query(payload, 'strict $.** ? (@.type() == "number")') number WHERE length(number::text) > 64) THEN
    PERFORM jobforge_fail('JF400', 'number_out_of_range', 'p_payload has a number of more than 64 digits', 'pass it as text');
  END IF;
END $$;

-- Whether programs can read JSON that a worker reports: none too long, too deep or with numbers that are out of their range.
CREATE FUNCTION jobforge_is_readable(given jsonb, most_bytes integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT octet_length(given::text) <= most_bytes
    AND NOT jsonb_path_exists(given, 'strict $.**{64 to last}')
    AND NOT EXISTS (SELECT FROM jsonb_path_query(given, 'strict $.** ? (@.type() == "number")') number WHERE length(number::text) > 308)
$$;

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
  IF p_idempotency_key = '' OR char_length(p_idempotency_key) > 255 OR p_idempotency_key ~ '(^\s)|(\s$)|[[:cntrl:]\u0080-\u009f]' THEN
    PERFORM jobforge_fail('JF400', 'bad_idempotency_key', format('p_idempotency_key has %s characters', char_length(p_idempotency_key)),
      'use 1 to 255 characters without control characters or spaces at the ends, or null');
  END IF;
  IF cardinality(p_tags) > 20 OR array_ndims(p_tags) > 1
    OR EXISTS (SELECT FROM unnest(p_tags) tag WHERE tag IS NULL OR char_length(tag) NOT BETWEEN 1 AND 64 OR tag ~ '[[:cntrl:]\u0080-\u009f]') THEN
    PERFORM jobforge_fail('JF400', 'bad_tag', 'p_tags cannot be used', 'use at most 20 tags of 1 to 64 printable characters, in a plain list');
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
  most bigint;
  skipped bigint;
  stride CONSTANT integer := 500;
  cursor uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  step uuid[];
  matching uuid[] := '{}';
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
  IF jsonb_typeof(coalesce(filters -> 'type', '""')) NOT IN ('string', 'null') OR jsonb_typeof(coalesce(filters -> 'queue', '""')) NOT IN ('string', 'null') THEN
    PERFORM jobforge_fail('JF400', 'wrong_type', 'type and queue are texts', 'pass {"type": "email.send"}');
  END IF;
  IF jsonb_typeof(coalesce(filters -> 'limit', '50')) <> 'number' OR jsonb_typeof(coalesce(filters -> 'offset', '0')) <> 'number'
    OR (filters ->> 'limit')::numeric % 1 <> 0 OR (filters ->> 'offset')::numeric % 1 <> 0 THEN
    PERFORM jobforge_fail('JF400', 'wrong_type', 'limit and offset are whole numbers', 'pass {"limit": 50, "offset": 0}');
  END IF;
  -- What does not fit an integer is out of range as well.
  PERFORM jobforge_check_range('limit', least(greatest(coalesce((filters ->> 'limit')::numeric, 50), -1), 1000000000)::bigint, 1, 1000);
  PERFORM jobforge_check_range('offset', least(greatest(coalesce((filters ->> 'offset')::numeric, 0), -1), 1000000000)::bigint, 0, 1000000);
  most := round(coalesce((filters ->> 'limit')::numeric, 50));
  skipped := round(coalesce((filters ->> 'offset')::numeric, 0));
  -- Ids are made in the order of time.
  IF statuses <@ ARRAY['failed', 'dead', 'canceled'] AND statuses <> '{}' THEN
    RETURN QUERY
      SELECT j.*
      FROM (SELECT DISTINCT s.status FROM unnest(statuses) AS s (status)) wanted
      CROSS JOIN LATERAL (
        SELECT *
        FROM jobforge_jobs f
        WHERE f.tenant_id = p_tenant_id
          AND f.status = wanted.status
          AND f.status IN ('failed', 'dead', 'canceled')
          AND (filters ->> 'type' IS NULL OR f.type = filters ->> 'type')
          AND (filters ->> 'queue' IS NULL OR f.queue = filters ->> 'queue')
        ORDER BY f.id DESC
        LIMIT most + skipped
      ) j
      ORDER BY j.id DESC
      LIMIT most OFFSET skipped;
  ELSE
    -- Step by step down the tenant's ids, until enough of the jobs match: a status may be rare, and others many.
    LOOP
      step := ARRAY(
        SELECT listed.id
        FROM jobforge_kinds k
        CROSS JOIN LATERAL (
          SELECT l.id FROM jobforge_listed l WHERE l.kind = k.kind AND l.id < cursor ORDER BY l.id DESC LIMIT stride
        ) listed
        WHERE k.tenant_id = p_tenant_id
          AND (filters ->> 'type' IS NULL OR k.type = filters ->> 'type')
          AND (filters ->> 'queue' IS NULL OR k.queue = filters ->> 'queue')
        ORDER BY listed.id DESC
        LIMIT stride);
      matching := matching || CASE WHEN statuses IS NULL THEN step
        ELSE ARRAY(SELECT j.id FROM jobforge_jobs j WHERE j.id = ANY (step) AND j.status = ANY (statuses)) END;
      EXIT WHEN cardinality(step) < stride OR cardinality(matching) >= most + skipped;
      cursor := step[stride];
    END LOOP;
    RETURN QUERY
      SELECT j.* FROM jobforge_jobs j WHERE j.id = ANY (matching) ORDER BY j.id DESC LIMIT most OFFSET skipped;
  END IF;
END $$;

CREATE FUNCTION jobforge_list_jobs(p_tenant_uuid uuid, p_filters jsonb DEFAULT '{}')
RETURNS SETOF jobforge_jobs LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT * FROM jobforge_list_jobs(p_tenant_uuid::text, p_filters)
$$;

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
      INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at, beats,
                                         heartbeat_at, beat_interval_ms, silent_gaps)
      VALUES (job.id, job.tenant_id, job.attempts, job.lease, job.locked_by, 'canceled', job.started_at, jobforge_now(), job.beats,
              job.heartbeat_at, job.beat_interval_ms, job.silent_gaps)
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
    INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at, beats,
                                       heartbeat_at, beat_interval_ms, silent_gaps)
    VALUES (job.id, job.tenant_id, job.attempts, job.lease, job.last_worker, 'succeeded', job.started_at, job.finished_at,
            job.beats, job.heartbeat_at, job.beat_interval_ms, job.silent_gaps)
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
