-- Makes a new worker incarnation known; registering the same incarnation again renews nothing and fails nothing.
--
-- $1 id, $2 name, $3 hostname, $4 pid, $5 queues, $6 types or null, $7 slots, $8 lease in ms; null where unknown:
-- $9 machine, $10 boot, $11 pid namespace, $12 process start, $13 slot, $14 slot file; $15 whether the lease may grow,
-- $16 who registers it over the network or null.
INSERT INTO jobforge_workers
  (id, name, hostname, pid, queues, types, slots, state, lease_ms, granted_ms, started_at, last_heartbeat_at, lease_expires_at,
   machine_id, boot_id, pid_namespace, process_start, slot, slot_id, lease_scales, registered_by)
VALUES
  ($1, $2, $3, $4, $5, $6, $7, 'live', $8, $8, jobforge_now(), jobforge_now(), jobforge_now() + $8::bigint * interval '1 ms',
   $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (id) DO NOTHING
-- Whether the last incarnation of the same worker in the same process was declared lost.
RETURNING coalesce((
  SELECT w.state = 'lost'
  FROM jobforge_workers w
  WHERE w.hostname = $3 AND w.pid = $4 AND w.process_start = $12 AND w.queues = $5 AND w.name IS NOT DISTINCT FROM $2
    AND w.id <> $1
  ORDER BY w.started_at DESC
  LIMIT 1
), false)
