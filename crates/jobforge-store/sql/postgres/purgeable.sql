-- Counts ended jobs past their horizon, by status.
--
-- $1 statuses, $2 horizon of each. Uses idx_jobforge_jobs_finished.
SELECT h.status, (
    SELECT count(*)
    FROM jobforge_jobs j
    WHERE j.finished_at < h.horizon AND j.finished_at IS NOT NULL AND j.status = h.status
  ) AS purgeable
FROM unnest($1::text[], $2::timestamptz[]) AS h (status, horizon)
