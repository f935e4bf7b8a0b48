-- Jobs of a schedule that have not ended, oldest moment first.
-- ?1 name
-- Index: idx_jobforge_schedule_runs_open and the primary key of the jobs.
SELECT
    r.job_id,
    r.planned_for,
    j.status = 'running'
FROM jobforge_schedule_runs AS r
JOIN jobforge_jobs AS j ON j.id = r.job_id
WHERE r.schedule = ?1
  AND r.job_id IS NOT NULL
  AND r.finished_at IS NULL
  AND j.finished_at IS NULL
ORDER BY r.planned_for;
