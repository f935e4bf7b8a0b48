-- Notes that channels were told of alerts.
--
-- $1 channels, $2 rules, $3 labels, $4 when the alerts fired, $5 when the channels were told.
INSERT INTO jobforge_alerts_told (channel, rule, labels, fired_at, at)
SELECT DISTINCT ON (channel, rule, labels, fired_at) channel, rule, labels, fired_at, at
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
  AS t (channel, rule, labels, fired_at, at)
ORDER BY channel, rule, labels, fired_at, at DESC
ON CONFLICT (channel, rule, labels, fired_at) DO UPDATE
SET at = excluded.at
