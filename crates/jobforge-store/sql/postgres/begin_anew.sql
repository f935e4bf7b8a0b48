-- Makes a database that came from a copy begin anew: nobody holds a lease of before, and new fences are above old ones.
--
-- $1 why, in words, $2 the certificate that goes with it, $3 the epoch of what the copy replaces. Returns who held a lease or a job. Scans
-- workers, watchdogs, the scheduler and operations, of which there are few, and the samples of the last hour; reads all jobs for the highest fence, because a dump may lack the row of
-- jobforge_fleet, and uses idx_jobforge_jobs_running. Whoever holds a job without being known, as after a dump that left
-- workers out, becomes known here.
WITH fleet AS (
  UPDATE jobforge_fleet
  SET timeline = jobforge_timeline(),
      first_timeline = jobforge_timeline() - 1 - greatest(
        timeline - first_timeline,
        $3,
        (SELECT coalesce(max(lease), 0) >> 32 FROM jobforge_jobs)
      ),
      claims_from = NULL
  WHERE one
), watchdogs AS (
  DELETE FROM jobforge_watchdogs
), scheduler AS (
  DELETE FROM jobforge_scheduler
), housekeeper AS (
  DELETE FROM jobforge_housekeeper
), judge AS (
  UPDATE jobforge_alert_turn SET judge = NULL, turn_until = NULL WHERE one
), samples AS (
  DELETE FROM jobforge_samples
), turns AS (
  UPDATE jobforge_operations SET turn_of = NULL, turn_until = NULL WHERE state = 'running'
), unknown AS (
  INSERT INTO jobforge_workers
    (id, hostname, pid, queues, slots, state, lease_ms, granted_ms, started_at, last_heartbeat_at, lease_expires_at, ended_at,
     end_reason, death)
  SELECT j.locked_by, 'unknown', 0, '{}'::text[], 0, 'dead', 1, 1, min(j.locked_at), max(coalesce(j.heartbeat_at, j.locked_at)),
         max(j.locked_at), jobforge_now(), $1, $2
  FROM jobforge_jobs j
  WHERE j.status = 'running' AND j.locked_by IS NOT NULL
    AND NOT EXISTS (SELECT FROM jobforge_workers w WHERE w.id = j.locked_by)
  GROUP BY j.locked_by
  RETURNING id
), ended AS (
  UPDATE jobforge_workers w
  SET state = 'dead',
      ended_at = jobforge_now(),
      end_reason = $1,
      death = $2,
      died_with = NULL
  WHERE w.state IN ('live', 'draining')
    OR EXISTS (SELECT FROM jobforge_jobs j WHERE j.status = 'running' AND j.locked_by = w.id)
  RETURNING id
)
SELECT id FROM unknown UNION ALL SELECT id FROM ended
