-- Notes that a channel was told of an alert.
-- ?1 channel, ?2 rule, ?3 labels, ?4 when the alert fired, ?5 when the channel was told
INSERT INTO jobforge_alerts_told (channel, rule, labels, fired_at, at)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (channel, rule, labels, fired_at) DO UPDATE
SET at = excluded.at;
