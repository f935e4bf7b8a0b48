-- Who judges.
SELECT fleet, judge, judged_at
FROM jobforge_alert_turn
