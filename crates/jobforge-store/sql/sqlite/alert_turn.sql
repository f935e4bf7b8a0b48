-- Gives somebody the turn to judge, if nobody else has it.
-- ?1 who, ?2 until when, ?3 now, ?4 a turn that ends behind this was taken on a clock that has been set back
UPDATE jobforge_alert_turn
SET
    judge = ?1,
    turn_until = ?2
WHERE judge IS NULL
   OR judge = ?1
   OR turn_until <= ?3
   OR turn_until > ?4;
