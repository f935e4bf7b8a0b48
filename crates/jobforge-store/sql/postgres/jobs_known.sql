-- Which of these jobs there are.
--
-- $1 the ids. Uses the primary key, once an id.
SELECT id
FROM jobforge_jobs
WHERE id = ANY ($1::uuid[])
