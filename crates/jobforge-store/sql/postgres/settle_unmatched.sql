-- Says where jobs stand whose settlement or heartbeat changed nothing.
--
-- $1 ids. Uses the primary key.
SELECT id, status, lease, last_worker
FROM jobforge_jobs
WHERE id = ANY ($1)
