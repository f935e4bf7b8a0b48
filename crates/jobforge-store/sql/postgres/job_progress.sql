-- Reads how far the attempts of a job said they had come, in order.
--
-- $1 job. Uses the primary key.
SELECT lease, at, progress, phase, message
FROM jobforge_job_progress
WHERE job_id = $1
ORDER BY lease, report_no
