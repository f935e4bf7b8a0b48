-- Forgets what ended long ago, at most $1 rows of each kind: workers and watchdogs after $2 ms, runs of watchdogs after
-- $3 ms, operations after $4 ms, when tokens that have ended were last used after $5 ms,
-- successes under names that no schedule has after $6 ms, and all but the latest of a name.
--
-- Returns how many rows. Never a worker that a job still runs under. Scans tables that have few rows, and uses
-- idx_jobforge_jobs_running and idx_jobforge_watchdog_runs.
WITH workers AS (
  DELETE FROM jobforge_workers
  WHERE id = ANY (ARRAY(
    SELECT w.id
    FROM jobforge_workers w
    WHERE w.ended_at < jobforge_now() - $2::bigint * interval '1 ms'
      AND NOT EXISTS (SELECT FROM jobforge_jobs j WHERE j.status = 'running' AND j.locked_by = w.id)
    LIMIT $1
    FOR UPDATE SKIP LOCKED
  ))
  RETURNING 1
), watchdogs AS (
  DELETE FROM jobforge_watchdogs
  WHERE id = ANY (ARRAY(
    SELECT id
    FROM jobforge_watchdogs
    WHERE last_sign_at < jobforge_now() - $2::bigint * interval '1 ms'
    LIMIT $1
    FOR UPDATE SKIP LOCKED
  ))
  RETURNING 1
), runs AS (
  DELETE FROM jobforge_watchdog_runs
  WHERE id = ANY (ARRAY(
    SELECT id
    FROM jobforge_watchdog_runs
    WHERE started_at < jobforge_now() - $3::bigint * interval '1 ms'
    ORDER BY started_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
  ))
  RETURNING 1
), operations AS (
  DELETE FROM jobforge_operations
  WHERE id = ANY (ARRAY(
    SELECT id
    FROM jobforge_operations
    WHERE finished_at < jobforge_now() - $4::bigint * interval '1 ms'
    LIMIT $1
    FOR UPDATE SKIP LOCKED
  ))
  RETURNING 1
), tokens AS (
  UPDATE jobforge_tokens
  SET last_used_at = NULL
  WHERE id = ANY (ARRAY(
    SELECT id
    FROM jobforge_tokens
    WHERE last_used_at IS NOT NULL AND least(revoked_at, expires_at) < jobforge_now() - $5::bigint * interval '1 ms'
    LIMIT $1
    FOR UPDATE SKIP LOCKED
  ))
  RETURNING 1
), successes AS (
  DELETE FROM jobforge_successes
  WHERE ctid = ANY (ARRAY(
    SELECT s.ctid
    FROM jobforge_successes s
    WHERE EXISTS (
        SELECT FROM jobforge_successes o WHERE o.name = s.name AND (o.last_at, o.ctid) > (s.last_at, s.ctid)
      )
      OR s.last_at < jobforge_now() - $6::bigint * interval '1 ms'
      AND NOT EXISTS (SELECT FROM jobforge_schedules h WHERE h.name = s.name)
    LIMIT $1
    FOR UPDATE OF s SKIP LOCKED
  ))
  RETURNING 1
)
SELECT (SELECT count(*) FROM workers) + (SELECT count(*) FROM watchdogs) + (SELECT count(*) FROM runs)
  + (SELECT count(*) FROM operations) + (SELECT count(*) FROM tokens)
  + (SELECT count(*) FROM successes) AS forgotten
