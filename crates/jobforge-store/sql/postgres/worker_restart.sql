-- Tells active workers to restart. One row for each that is active: whether it has no process that could be told, as a worker
-- that speaks SQL, and whether it had been told before.
--
-- $1 ids, $2 by whom. Uses the primary key.
WITH found AS (
  SELECT id, pid, restart_at
  FROM jobforge_workers
  WHERE id = ANY ($1) AND state IN ('live', 'draining') AND lease_expires_at > jobforge_now()
  FOR UPDATE
), told AS (
  UPDATE jobforge_workers w
  SET restart_at = jobforge_now()
  FROM found f
  WHERE w.id = f.id AND f.restart_at IS NULL AND f.pid <> 0
  RETURNING w.id
), heard AS (
  SELECT pg_notify('jobforge', 'renew:' || id) FROM told
)
SELECT id, pid = 0, restart_at IS NOT NULL,
  (SELECT count(*) FROM heard) AS heard,
  (SELECT count(jobforge_audit_add($2, 'worker.restart', t.id, NULL, NULL, NULL)) FROM told t) AS audited
FROM found
