-- Notes that somebody has judged, if it is its turn.
-- ?1 who, ?2 now
UPDATE jobforge_alert_turn
SET judged_at = ?2
WHERE judge = ?1
  AND turn_until > ?2;
