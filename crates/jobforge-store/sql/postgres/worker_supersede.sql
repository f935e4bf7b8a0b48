-- Marks earlier holders of a slot as dead, which the new holder of its lock proves; returns them.
--
-- The lock ends with the process that held it, so another process of this boot is gone; the process that registers anew
-- is not. One of another boot is gone with its machine, unless it was heard since this boot began: then the machine's
-- identity was copied and proves nothing.
-- $1 slot file, $2 machine, $3 boot, $4 pid namespace, $5 pid, $6 process start, $7 ms since boot,
-- $8 and $9 proof in words and certificate for the same boot, $10 and $11 for another.
-- Scans the workers, of which there are few.
UPDATE jobforge_workers
SET state = 'dead',
    ended_at = coalesce(ended_at, jobforge_now()),
    end_reason = CASE WHEN boot_id = $3 THEN $8 ELSE $10 END,
    death = CASE WHEN boot_id = $3 THEN $9 ELSE $11 END
WHERE slot_id = $1 AND machine_id = $2
  AND state IN ('live', 'draining', 'lost')
  AND CASE
    WHEN boot_id = $3 THEN (pid_namespace, pid, process_start) IS DISTINCT FROM ($4, $5, $6)
    ELSE last_heartbeat_at < jobforge_now() - $7::bigint * interval '1 ms'
  END
RETURNING *, ended_at = jobforge_now() AS fresh
