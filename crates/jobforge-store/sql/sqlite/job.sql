-- One job.
-- ?1 id
-- Index: primary key. Read by column name, so a column that a later migration adds changes nothing here.
SELECT jobforge_jobs.*
FROM jobforge_jobs
WHERE id = ?1;
