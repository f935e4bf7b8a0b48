-- Forgets that channels were told of alerts.
--
-- $1 channels, $2 rules, $3 labels, $4 when the alerts fired. Uses the primary key.
DELETE FROM jobforge_alerts_told a
USING unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS t (channel, rule, labels, fired_at)
WHERE a.channel = t.channel AND a.rule = t.rule AND a.labels = t.labels AND a.fired_at = t.fired_at
