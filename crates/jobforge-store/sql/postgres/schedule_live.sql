-- Jobs of schedules that have not ended, oldest moment first.
--
-- $1 names. Uses idx_jobforge_schedule_runs_open and the primary key of the jobs.
SELECT r.schedule, r.job_id, r.planned_for, j.status = 'running' AS running
FROM jobforge_schedule_runs r
JOIN jobforge_jobs j ON j.id = r.job_id
WHERE r.schedule = ANY ($1) AND r.job_id IS NOT NULL AND r.finished_at IS NULL AND j.finished_at IS NULL
ORDER BY r.planned_for
