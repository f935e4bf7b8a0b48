-- Marks every incarnation of a dead process, also one whose silence was noticed before its death was proven.
--
-- $1 machine, $2 boot, $3 pid namespace, $4 pid, $5 process start, $6 proof in words, $7 certificate.
-- Scans the workers, of which there are few.
UPDATE jobforge_workers
SET state = 'dead',
    ended_at = coalesce(ended_at, jobforge_now()),
    end_reason = $6,
    death = $7
WHERE machine_id = $1 AND boot_id = $2 AND pid_namespace = $3 AND pid = $4 AND process_start = $5
  AND state IN ('live', 'draining', 'lost')
-- Those that were lost keep the time of that.
RETURNING ended_at = jobforge_now() AS fresh
