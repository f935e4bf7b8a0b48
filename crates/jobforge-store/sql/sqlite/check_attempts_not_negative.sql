-- Jobs that have used less than no attempt, or may use none.
-- ?1 at most so many
SELECT id
FROM jobforge_jobs
WHERE attempts < 0
   OR max_attempts < 1
LIMIT ?1;
