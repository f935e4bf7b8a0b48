-- supersede
-- Marks earlier holders of a slot as dead, which the new holder of its lock proves; returns them.
-- The lock ends with the process that held it, so another process of this boot is gone; the process that registers anew
-- is not. One of another boot is gone with its machine, unless it was heard since this boot began: then the machine's
-- identity was copied and proves nothing.
-- ?1 slot file, ?2 machine, ?3 boot, ?4 pid namespace, ?5 pid, ?6 process start, ?7 when this boot began, ?8 now,
-- ?9 and ?10 proof in words and certificate for the same boot, ?11 and ?12 for another
-- Scans the workers, of which there are few.
UPDATE jobforge_workers
SET
    state = 'dead',
    ended_at = coalesce(ended_at, ?8),
    end_reason = CASE WHEN boot_id = ?3 THEN ?9 ELSE ?11 END,
    death = CASE WHEN boot_id = ?3 THEN ?10 ELSE ?12 END
WHERE slot_id = ?1
  AND machine_id = ?2
  AND state IN ('live', 'draining', 'lost')
  AND CASE
      WHEN boot_id = ?3 THEN NOT (pid_namespace = ?4 AND pid = ?5 AND process_start = ?6)
      ELSE last_heartbeat_at < ?7
  END
RETURNING *;
