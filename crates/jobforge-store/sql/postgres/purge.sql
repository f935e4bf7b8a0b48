-- Deletes one batch of ended jobs past their horizon; returns their statuses and counts.
--
-- $1 statuses, $2 horizon of each, $3 batch per status. Uses idx_jobforge_jobs_finished.
WITH doomed AS MATERIALIZED (
  SELECT j.id
  FROM unnest($1::text[], $2::timestamptz[]) AS h (status, horizon)
  CROSS JOIN LATERAL (
    SELECT id
    FROM jobforge_jobs
    WHERE finished_at < h.horizon AND finished_at IS NOT NULL AND status = h.status
    ORDER BY finished_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED
  ) j
), gone AS (
  DELETE FROM jobforge_jobs j
  USING doomed d
  WHERE j.id = d.id
  RETURNING j.status
)
SELECT status, count(*) AS deleted FROM gone GROUP BY status
