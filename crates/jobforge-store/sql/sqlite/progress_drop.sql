-- Gives up one point of an attempt.
-- ?1 job id, ?2 lease, ?3 number of the report
-- Index: primary key.
DELETE FROM jobforge_job_progress
WHERE job_id = ?1
  AND lease = ?2
  AND report_no = ?3;
