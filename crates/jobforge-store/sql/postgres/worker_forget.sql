-- Removes workers that ended more than a day ago and hold no job. Uses idx_jobforge_jobs_running.
DELETE FROM jobforge_workers w
WHERE w.ended_at < jobforge_now() - interval '1 day'
  AND NOT EXISTS (SELECT FROM jobforge_jobs j WHERE j.status = 'running' AND j.locked_by = w.id)
