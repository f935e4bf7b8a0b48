-- The SQL surface, third part: a worker that speaks SQL.

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
  -- Only a claim tells that somebody else has the id: to all else a stranger's worker is as unknown as none.
  SELECT * INTO worker FROM jobforge_workers
  WHERE id = p_worker_id AND (p_lease_ms IS NOT NULL OR (pid = 0 AND name = label AND registered_by IS NULL)) FOR UPDATE;
  IF NOT FOUND AND p_lease_ms IS NOT NULL THEN
    INSERT INTO jobforge_workers (id, name, hostname, pid, queues, slots, state, lease_ms, granted_ms, started_at, last_heartbeat_at, lease_expires_at)
    VALUES (p_worker_id, label, coalesce(host(inet_client_addr()), 'local'), 0, '{}', 0, 'live', p_lease_ms, p_lease_ms, tick, tick,
            tick + p_lease_ms * interval '1 ms')
    ON CONFLICT (id) DO NOTHING;
    SELECT * INTO worker FROM jobforge_workers WHERE id = p_worker_id FOR UPDATE;
  END IF;
  IF worker.id IS NULL THEN
    PERFORM jobforge_fail('JF404', 'worker_unknown', format('worker %s has claimed nothing', p_worker_id), 'claim first, with jobforge_claim_jobs');
  END IF;
  IF worker.pid <> 0 OR worker.name IS DISTINCT FROM label OR worker.registered_by IS NOT NULL THEN
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
      granted_ms = coalesce(p_lease_ms, lease_ms),
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
-- In plpgsql, which keeps its plans; a function in SQL is planned at each call.
CREATE FUNCTION jobforge_take(worker text, from_queue text, of_types text[], most bigint, run_alone boolean, of_tenant text, lease_ms bigint, lease_base bigint)
RETURNS SETOF jobforge_jobs LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY
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
        lease = greatest(j.lease + 1, lease_base),
        revision = j.revision + 1,
        locked_by = worker,
        locked_at = jobforge_now(),
        started_at = jobforge_now(),
        heartbeat_at = jobforge_now(),
        heartbeat_due_at = jobforge_now() + lease_ms * interval '1 ms',
        beats = 0,
        beat_interval_ms = NULL,
        silent_gaps = NULL,
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
  SELECT * FROM claimed c ORDER BY c.priority, c.run_at, c.id;
END $$;

-- Takes the most urgent jobs for a worker, which becomes known by its first claim and alive by each.
--
-- The worker keeps them as long as it is heard: each claim and heartbeat renews its lease of p_lease_seconds.
CREATE FUNCTION jobforge_claim_jobs(
  p_worker_id text, p_limit integer DEFAULT 10, p_queues text[] DEFAULT ARRAY['default'], p_types text[] DEFAULT NULL,
  p_lease_seconds integer DEFAULT 60
) RETURNS SETOF jobforge_jobs LANGUAGE plpgsql SECURITY DEFINER
-- As the product's own connections have it: plans must not depend on the statistics of an empty table.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  bound text := jobforge_bound();
  from_queue text;
  got bigint;
  missing bigint := p_limit;
  base bigint;
BEGIN
  PERFORM jobforge_check_range('p_limit', p_limit, 1, 1000);
  PERFORM jobforge_check_range('p_lease_seconds', p_lease_seconds, 2, 86400);
  PERFORM jobforge_check_names('p_queues', p_queues, 100);
  IF p_types IS NOT NULL THEN
    PERFORM jobforge_check_names('p_types', p_types, 1000);
  END IF;
  PERFORM jobforge_sql_worker(p_worker_id, p_lease_seconds * 1000);
  UPDATE jobforge_workers SET queues = p_queues, types = p_types, slots = p_limit WHERE id = p_worker_id;
  -- After a failover nothing is claimed until workers have been heard again.
  PERFORM jobforge_notice_failover();
  SELECT f.lease_base INTO base FROM jobforge_fleet f WHERE f.one AND (f.claims_from IS NULL OR f.claims_from <= jobforge_now());
  IF NOT FOUND THEN
    RETURN;
  END IF;
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
    RETURN QUERY SELECT * FROM jobforge_take(p_worker_id, from_queue, p_types, missing, false, bound, p_lease_seconds * 1000, base);
    GET DIAGNOSTICS got = ROW_COUNT;
    missing := missing - got;
    EXIT WHEN missing = 0;
  END LOOP;
  IF missing < p_limit OR EXISTS (SELECT FROM jobforge_jobs WHERE status = 'running' AND locked_by = p_worker_id) THEN
    RETURN;
  END IF;
  FOREACH from_queue IN ARRAY p_queues LOOP
    RETURN QUERY SELECT * FROM jobforge_take(p_worker_id, from_queue, p_types, 1, true, bound, p_lease_seconds * 1000, base);
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
  held bigint;
BEGIN
  UPDATE jobforge_jobs j
  SET revision = j.revision + 1,
      heartbeat_at = jobforge_now(),
      heartbeat_due_at = worker.lease_expires_at,
      beats = j.beats + 1,
      progress = coalesce(least(greatest(p_progress, 0), 100)::smallint, j.progress),
      progress_message = coalesce(left(p_message, 1000), j.progress_message),
      phase = coalesce(left(p_phase, 100), j.phase),
      progress_at = CASE WHEN num_nonnulls(p_progress, p_message, p_phase) = 0 THEN j.progress_at ELSE jobforge_now() END
  WHERE j.id = p_job_id AND j.locked_by IS NOT DISTINCT FROM p_worker_id AND j.status IS NOT DISTINCT FROM 'running'
    AND j.lease = coalesce(p_lease, j.lease) AND j.tenant_id = coalesce(jobforge_bound(), j.tenant_id)
  RETURNING j.lease INTO held;
  IF NOT FOUND THEN
    PERFORM jobforge_not_yours(p_job_id, p_worker_id, p_lease);
  END IF;
  IF num_nonnulls(p_progress, p_message, p_phase) > 0 THEN
    PERFORM jobforge_note_progress(p_job_id, held, least(greatest(p_progress, 0), 100)::smallint, p_phase, p_message);
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
      'kind', left(coalesce(given ->> 'kind', given ->> 'name', given ->> 'type', 'error'), 100),
      'retryable', coalesce(given -> 'retryable' <> 'false', true))
    || CASE
      WHEN jsonb_typeof(given) <> 'object' OR NOT jobforge_is_readable(given, 65536) THEN '{}'
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
  counted_as text;
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
  ELSIF NOT jobforge_is_readable(p_result, 1048576) THEN
    failure := jsonb_build_object('kind', 'result_unstorable', 'retryable', false, 'message',
      'the result is nested more than 64 deep or has a number that programs cannot read: flatten it, or pass the number as text');
    becomes := 'failed';
  ELSIF p_result IS NOT NULL OR p_artifact_ref IS NOT NULL THEN
    INSERT INTO jobforge_job_results AS r (job_id, tenant_id, result, artifact_ref, created_at)
    VALUES (job.id, job.tenant_id, coalesce(p_result, '{}'), p_artifact_ref, jobforge_now())
    ON CONFLICT (job_id) DO UPDATE
    SET id = excluded.id, result = excluded.result, artifact_ref = excluded.artifact_ref, created_at = excluded.created_at
    RETURNING r.id INTO result;
  END IF;
  IF becomes <> 'succeeded' OR job.attempts > 1 THEN
    INSERT INTO jobforge_job_attempts (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at, error,
                                       beats, heartbeat_at)
    VALUES (job.id, job.tenant_id, job.attempts, job.lease, p_worker_id, CASE becomes WHEN 'queued' THEN 'retry' ELSE becomes END,
            job.started_at, jobforge_now(), failure, job.beats, job.heartbeat_at)
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
  counted_as := CASE WHEN starts_with(job.created_by, 'schedule:') THEN substr(job.created_by, 10) ELSE job.type END;
  IF becomes = 'succeeded' THEN
    PERFORM jobforge_note_successes(ARRAY[counted_as]);
  END IF;
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
    RETURNING j.id, j.tenant_id, j.attempts + 1 AS attempt_no, j.lease, j.started_at, j.beats, j.heartbeat_at
  )
  INSERT INTO jobforge_job_attempts
    (job_id, tenant_id, attempt_no, lease, worker_id, outcome, started_at, finished_at, beats, heartbeat_at)
  SELECT id, tenant_id, attempt_no, lease, p_worker_id, 'released', started_at, jobforge_now(), beats, heartbeat_at FROM released
  ON CONFLICT (job_id, lease) DO NOTHING;
  GET DIAGNOSTICS given = ROW_COUNT;
  UPDATE jobforge_workers SET state = 'gone', ended_at = jobforge_now(), end_reason = 'left' WHERE id = p_worker_id;
  RETURN given;
END $$;
