-- The newest points of one attempt, the newest first.
-- ?1 job id, ?2 lease, ?3 how many
-- Index: primary key.
SELECT
    lease,
    at,
    progress,
    phase,
    message,
    report_no
FROM jobforge_job_progress
WHERE job_id = ?1
  AND lease = ?2
ORDER BY report_no DESC
LIMIT ?3;
