-- Ended incarnations of a process: what they hold nobody runs.
--
-- $1 machine, $2 boot, $3 pid namespace, $4 pid, $5 process start. Scans the workers, of which there are few.
SELECT *
FROM jobforge_workers
WHERE machine_id = $1 AND boot_id = $2 AND pid_namespace = $3 AND pid = $4 AND process_start = $5
  AND state NOT IN ('live', 'draining')
