-- Makes somebody the one who fires schedules, if nobody else does.
-- ?1 who, ?2 until when, ?3 now, ?4 a lease that ends behind this was taken on a clock that has been set back
INSERT INTO jobforge_scheduler (one, leader, lease_until, last_tick_at)
VALUES (1, ?1, ?2, ?3)
ON CONFLICT (one) DO UPDATE
SET
    leader = excluded.leader,
    lease_until = excluded.lease_until,
    last_tick_at = excluded.last_tick_at
WHERE leader = ?1
   OR lease_until <= ?3
   OR lease_until > ?4;
