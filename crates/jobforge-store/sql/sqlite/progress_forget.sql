-- Gives up the points of a job's old fences.
-- ?1 job id, ?2 the newest lease that is given up
-- Index: primary key.
DELETE FROM jobforge_job_progress
WHERE job_id = ?1
  AND lease <= ?2;
