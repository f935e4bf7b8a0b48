-- Gives somebody the turn to judge, if nobody else has it; returns a row if so.
--
-- $1 who, $2 for how many ms, $3 the longest turn in ms. One that ends later was taken on a clock that has been set back since.
UPDATE jobforge_alert_turn
SET judge = $1,
    turn_until = jobforge_now() + $2::bigint * interval '1 ms'
WHERE judge IS NULL
   OR judge = $1
   OR turn_until <= jobforge_now()
   OR turn_until > jobforge_now() + $3::bigint * interval '1 ms'
RETURNING fleet
