-- After a step of the clock, gives every active worker a whole lease from now, also one that has more left, and every
-- running job its whole time-out and time to its next heartbeat.
--
-- Counts as a heartbeat of each job, so that doing it twice gives no more. Reads the running jobs through
-- idx_jobforge_jobs_running; a job that is being changed at this moment is passed over, for that gives it new times.
WITH workers AS (
  UPDATE jobforge_workers
  SET lease_expires_at = jobforge_now() + lease_ms * interval '1 ms'
  WHERE state IN ('live', 'draining')
)
UPDATE jobforge_jobs
SET revision = revision + 1,
    heartbeat_at = jobforge_now(),
    heartbeat_due_at = jobforge_now() + (heartbeat_due_at - heartbeat_at),
    deadline_at = jobforge_now() + timeout_ms * interval '1 ms'
WHERE id IN (
    SELECT id
    FROM jobforge_jobs
    WHERE status = 'running' AND locked_by IS NOT NULL
    FOR UPDATE SKIP LOCKED
  )
  AND status = 'running'
