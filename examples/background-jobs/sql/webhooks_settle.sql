-- Notes how the jobs of handed-over deliveries have ended, also of those that somebody has retried since.
--
-- $1 how many. Uses webhook_deliveries_open and the primary key of jobs.
WITH ended AS (
  SELECT d.id, j.status, j.error ->> 'message' AS why
  FROM app.webhook_deliveries d
  LEFT JOIN jobforge_jobs j ON j.id = d.job_id
  WHERE (d.status = 'handed_over' AND (j.id IS NULL OR j.status IN ('succeeded', 'failed', 'dead', 'canceled')))
     OR (d.status = 'gave_up' AND j.status = 'succeeded')
  ORDER BY d.id
  LIMIT $1
  FOR UPDATE OF d SKIP LOCKED
)
UPDATE app.webhook_deliveries d
SET status = CASE WHEN e.status = 'succeeded' THEN 'delivered' ELSE 'gave_up' END,
    last_error = CASE
      WHEN e.status = 'succeeded' THEN d.last_error
      WHEN e.status IS NULL THEN 'its job was deleted before it was known how it ended'
      ELSE coalesce(e.why, 'its job is ' || e.status)
    END
FROM ended e
WHERE d.id = e.id
RETURNING d.id, d.status, d.job_id, d.last_error
