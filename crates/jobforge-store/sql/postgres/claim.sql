-- Takes due jobs for a worker and marks them running, in one statement.
--
-- $1 worker, $2 queues, $3 how many of each, $4 and $5 low-water cursor of each queue (priority, run_at),
-- $6 types the worker can run or null for all, $7 milliseconds until the first heartbeat is due, $8 promotion batch,
-- $9 and $10 bounds for jobs that have none of their own, on the attempt and on the time between two reports of progress:
-- {"by_type": {type: milliseconds}, "other": milliseconds} or null, $11 whether jobs are taken that must run alone, or
-- all others, $12 the only tenant whose jobs are taken or null for all, $13 milliseconds after which the worker means to
-- send the first heartbeat.
-- Uses idx_jobforge_ready and the primary key; never scans jobforge_jobs.
--
-- The cursor skips index entries of jobs already taken, which vacuum cannot remove while an old snapshot lives: with
-- 200,000 of them the claim keeps two thirds of its speed, without the cursor a third.
-- The tenant is looked up by primary key for each row that is passed, so that claims of all tenants need not carry it.
-- As a scalar: of an EXISTS the planner may make one look through all of the tenant's jobs.
-- `IS NOT DISTINCT FROM` keeps the planner from idx_jobforge_jobs_claim, which it takes to be empty when the table was
-- analysed while nothing was queued, and would read as a whole for each of the batch: seen, 20 times slower.
-- A worker gets nothing while nobody has noticed that a standby has taken over, or until workers have been heard since.
-- Every row carries what comes before the job, so that an empty claim (one row of nulls) tells when to ask again.
WITH alive AS MATERIALIZED (
  SELECT f.lease_base
  FROM jobforge_workers w
  CROSS JOIN jobforge_fleet f
  WHERE w.id = $1 AND w.state = 'live' AND w.restart_at IS NULL AND w.lease_expires_at > (SELECT jobforge_now())
    AND f.one AND f.timeline = (SELECT jobforge_timeline())
    AND (f.claims_from IS NULL OR f.claims_from <= (SELECT jobforge_now()))
), due AS (
  DELETE FROM jobforge_scheduled
  WHERE ctid = ANY (ARRAY(
    SELECT ctid
    FROM jobforge_scheduled
    WHERE run_at <= (SELECT jobforge_now())
    ORDER BY run_at
    LIMIT $8
    FOR UPDATE SKIP LOCKED
  ))
  RETURNING id, queue, priority, run_at, type, alone
), promoted AS (
  INSERT INTO jobforge_ready (id, queue, priority, run_at, type, alone)
  SELECT id, queue, priority, run_at, type, alone FROM due
  RETURNING 1
), taken AS MATERIALIZED (
  DELETE FROM jobforge_ready
  WHERE ctid = ANY (ARRAY(
    SELECT candidate.ctid
    FROM unnest($2::text[], $3::bigint[], $4::smallint[], $5::timestamptz[]) AS ask (queue, wanted, priority, run_at)
    CROSS JOIN LATERAL (
      SELECT r.ctid
      FROM jobforge_ready r
      WHERE r.queue = ask.queue
        AND r.alone = $11::boolean
        AND (r.priority, r.run_at) >= (ask.priority, ask.run_at)
        AND r.run_at <= (SELECT jobforge_now())
        AND ($6::text[] IS NULL OR r.type = ANY ($6))
        AND ($12::text IS NULL OR (SELECT j.tenant_id FROM jobforge_jobs j WHERE j.id = r.id) = $12)
      ORDER BY r.priority, r.run_at, r.id
      LIMIT ask.wanted
      FOR UPDATE SKIP LOCKED
    ) candidate
    WHERE EXISTS (SELECT FROM alive)
      AND NOT EXISTS (SELECT FROM jobforge_queues q WHERE q.name = ask.queue AND q.paused_at IS NOT NULL)
  ))
  RETURNING id
), claimed AS (
  UPDATE jobforge_jobs j
  SET status = 'running',
      attempts = j.attempts + 1,
      lease = greatest(j.lease + 1, (SELECT lease_base FROM alive)),
      revision = j.revision + 1,
      locked_by = $1,
      locked_at = (SELECT jobforge_now()),
      started_at = (SELECT jobforge_now()),
      heartbeat_at = (SELECT jobforge_now()),
      heartbeat_due_at = (SELECT jobforge_now()) + $7::bigint * interval '1 ms',
      beats = 0,
      beat_interval_ms = $13::bigint,
      silent_gaps = NULL,
      deadline_at = (SELECT jobforge_now()) + interval '1 ms'
        * coalesce(j.timeout_ms, ($9::jsonb -> 'by_type' ->> j.type)::bigint, ($9 ->> 'other')::bigint),
      progress_limit_ms =
        coalesce(j.progress_timeout_ms, ($10::jsonb -> 'by_type' ->> j.type)::bigint, ($10 ->> 'other')::bigint),
      progress = NULL,
      progress_message = NULL,
      phase = NULL,
      progress_at = NULL,
      items_processed = 0,
      items_failed = 0,
      items_skipped = 0,
      updated_at = (SELECT jobforge_now())
  FROM taken
  WHERE j.id = taken.id AND j.status IS NOT DISTINCT FROM 'queued' AND j.run_at <= (SELECT jobforge_now())
  RETURNING j.id, j.tenant_id, j.type, j.queue, j.priority, j.payload, j.attempts, j.max_attempts, j.lease,
            j.deadline_at, j.created_at, j.checkpoint, j.tags, j.traceparent, j.retry, j.run_at, j.progress_limit_ms,
            j.alone
)
SELECT tick.as_of, tick.next_due, tick.promoted, tick.taken, tick.alone_waits, claimed.*
FROM (
  SELECT jobforge_now() AS as_of,
         (SELECT min(run_at) FROM jobforge_scheduled) AS next_due,
         (SELECT count(*) FROM promoted) AS promoted,
         (SELECT count(*) FROM taken) AS taken,
         EXISTS (
           SELECT
           FROM unnest($2::text[]) AS ask (queue)
           WHERE EXISTS (
               SELECT FROM jobforge_ready r
               WHERE r.queue = ask.queue AND r.alone AND ($6::text[] IS NULL OR r.type = ANY ($6))
                 AND ($12::text IS NULL OR (SELECT j.tenant_id FROM jobforge_jobs j WHERE j.id = r.id) = $12)
             )
             AND NOT EXISTS (SELECT FROM jobforge_queues q WHERE q.name = ask.queue AND q.paused_at IS NOT NULL)
         ) AS alone_waits
) tick
LEFT JOIN claimed ON true
