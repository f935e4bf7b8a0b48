-- Jobs of schedules that have ended, of which nobody has taken note, the first first. One that was deleted before has ended
-- somehow.
-- ?1 how many
-- Index: idx_jobforge_schedule_runs_open and the primary key of the jobs.
SELECT
    r.schedule,
    r.planned_for,
    j.status,
    j.finished_at,
    (j.finished_at - j.started_at) / 1000
FROM jobforge_schedule_runs AS r
LEFT JOIN jobforge_jobs AS j ON j.id = r.job_id
WHERE r.job_id IS NOT NULL
  AND r.finished_at IS NULL
  AND (j.id IS NULL OR j.finished_at IS NOT NULL)
ORDER BY j.finished_at
LIMIT ?1;
