-- Which of these jobs there are.
-- ?1 the ids in JSON
-- Index: primary key, once per id.
SELECT jobforge_jobs.id
FROM jobforge_jobs
WHERE id IN (SELECT value FROM json_each(?1));
