-- Notes that a process is stopped, or that it goes on; returns its workers.
-- ?1 machine, ?2 boot, ?3 pid namespace, ?4 pid, ?5 process start, ?6 whether it is stopped, ?7 now
-- Scans the workers, of which there are few.
UPDATE jobforge_workers
SET stopped_at = CASE WHEN ?6 THEN coalesce(stopped_at, ?7) END
WHERE machine_id = ?1
  AND boot_id = ?2
  AND pid_namespace = ?3
  AND pid = ?4
  AND process_start = ?5
  AND state IN ('live', 'draining')
RETURNING id;
