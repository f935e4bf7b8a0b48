-- Ends first attempts that succeeded and have nothing else to say: the common case, one update and no other write.
--
-- $1 worker, $2 ids, $3 leases. Returns the ids that were settled. Uses the primary key.
UPDATE jobforge_jobs j
SET status = 'succeeded',
    revision = j.revision + 1,
    finished_at = jobforge_now(),
    last_worker = j.locked_by,
    locked_by = NULL,
    locked_at = NULL,
    heartbeat_due_at = NULL,
    deadline_at = NULL,
    error = NULL,
    updated_at = jobforge_now()
FROM unnest($2::uuid[], $3::bigint[]) AS s (id, lease)
WHERE j.id = s.id AND j.lease = s.lease AND j.locked_by = $1 AND j.status = 'running'
RETURNING j.id
