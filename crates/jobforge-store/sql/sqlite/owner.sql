-- Where a job stands and who held it, to say why a fenced change was refused.
-- ?1 id
-- Index: primary key.
SELECT
    status,
    lease,
    last_worker,
    attempts
FROM jobforge_jobs
WHERE id = ?1;
