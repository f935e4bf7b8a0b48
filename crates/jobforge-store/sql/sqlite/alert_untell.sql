-- Forgets that a channel was told of an alert.
-- ?1 channel, ?2 rule, ?3 labels, ?4 when the alert fired
-- Index: primary key.
DELETE FROM jobforge_alerts_told
WHERE channel = ?1
  AND rule = ?2
  AND labels = ?3
  AND fired_at = ?4;
