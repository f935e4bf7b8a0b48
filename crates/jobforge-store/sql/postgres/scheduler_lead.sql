-- Makes somebody the one who fires schedules, if nobody else does; returns a row if so.
--
-- $1 who, $2 for how many ms. A lease that ends far ahead was taken on a clock that has been set back since.
INSERT INTO jobforge_scheduler AS s (leader, lease_until, last_tick_at)
VALUES ($1, jobforge_now() + $2::bigint * interval '1 ms', jobforge_now())
ON CONFLICT (one) DO UPDATE
SET leader = excluded.leader,
    lease_until = excluded.lease_until,
    last_tick_at = excluded.last_tick_at
WHERE s.leader = $1 OR s.lease_until <= jobforge_now() OR s.lease_until > jobforge_now() + interval '1 minute'
RETURNING leader
