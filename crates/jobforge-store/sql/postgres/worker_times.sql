-- After a step of the clock, gives every active worker a whole lease from now, also one that has more left, and every
-- running job its whole time-outs and time to its next heartbeat. The signs of who keeps house, fires schedules and judges
-- alerts are of now, too: one row each. Who has the turn to judge keeps it for as long as one lasts at most.
--
-- $1 milliseconds of a whole turn to judge.
--
-- Counts as a claim and a heartbeat of each job, so that doing it twice gives no more; where standing still is bounded, as a
-- report too. Reads the running jobs through idx_jobforge_jobs_running; a job that is being changed at this moment is
-- passed over, for that gives it new times.
WITH workers AS (
  UPDATE jobforge_workers
  SET lease_expires_at = jobforge_now() + granted_ms * interval '1 ms'
  WHERE state IN ('live', 'draining')
), housekeeper AS (
  UPDATE jobforge_housekeeper
  SET last_sign_at = jobforge_now()
  WHERE one
), scheduler AS (
  UPDATE jobforge_scheduler
  SET last_tick_at = jobforge_now()
  WHERE one
), judge AS (
  UPDATE jobforge_alert_turn
  SET judged_at = CASE WHEN judged_at IS NULL THEN NULL ELSE jobforge_now() END,
      turn_until = jobforge_now() + $1::bigint * interval '1 ms'
  WHERE one AND judge IS NOT NULL
)
UPDATE jobforge_jobs
SET revision = revision + 1,
    locked_at = jobforge_now(),
    heartbeat_at = jobforge_now(),
    heartbeat_due_at = jobforge_now() + (heartbeat_due_at - heartbeat_at),
    deadline_at = jobforge_now() + (deadline_at - locked_at),
    progress_at = CASE WHEN progress_limit_ms IS NULL THEN progress_at ELSE jobforge_now() END
WHERE id IN (
    SELECT id
    FROM jobforge_jobs
    WHERE status = 'running' AND locked_by IS NOT NULL
    FOR UPDATE SKIP LOCKED
  )
  AND status = 'running'
