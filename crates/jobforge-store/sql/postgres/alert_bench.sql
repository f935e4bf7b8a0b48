-- Who judges, and until when.
SELECT fleet, judge, judged_at, turn_until
FROM jobforge_alert_turn
