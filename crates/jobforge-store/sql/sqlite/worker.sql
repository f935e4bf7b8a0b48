-- One worker.
-- ?1 id
-- Index: primary key.
SELECT jobforge_workers.*
FROM jobforge_workers
WHERE id = ?1;
