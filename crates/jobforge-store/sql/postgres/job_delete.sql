-- Deletes jobs that are not running. Returns id and status before, for every job that exists.
--
-- $1 ids, $2 by whom. Uses the primary key; attempts, results and logs go with their job, and so do
-- its places in the side tables.
WITH before AS MATERIALIZED (
  SELECT id, tenant_id, type, status, queue
  FROM jobforge_jobs
  WHERE id = ANY ($1)
  ORDER BY id
  FOR UPDATE
), gone AS (
  DELETE FROM jobforge_jobs j
  USING before b
  WHERE j.id = b.id AND b.status <> 'running'
)
SELECT id, status,
  (SELECT count(jobforge_audit_add($2, 'job.delete', id::text, tenant_id,
     jsonb_build_object('status', status, 'type', type, 'queue', queue)::text, NULL))
   FROM before WHERE status <> 'running') AS audited
FROM before
