-- Who judges alerts, if anybody ever did, is taken to have done so just now, and keeps the turn for as long as one lasts at most.
-- ?1 now, ?2 until when
-- One row.
UPDATE jobforge_alert_turn
SET
    judged_at = CASE WHEN judged_at IS NULL THEN NULL ELSE ?1 END,
    turn_until = ?2
WHERE one = 1 AND judge IS NOT NULL;
