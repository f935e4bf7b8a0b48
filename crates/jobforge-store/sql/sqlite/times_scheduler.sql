-- Who fires schedules is taken to have looked just now.
-- ?1 now
-- One row.
UPDATE jobforge_scheduler
SET last_tick_at = ?1
WHERE one = 1;
