-- Keeps what holds now, if it is the caller's turn; returns a row if so. What fired and is not given is resolved, what
-- waited and is not given is gone, and so is what was resolved long ago.
--
-- $1 whose turn, $2 rules, $3 labels, $4 severities, $5 since when, $6 when it fired, $7 values, $8 sentences, $9 how many
-- ms what is over is kept. Uses idx_jobforge_alerts_active and idx_jobforge_alerts_resolved.
WITH turn AS (
  UPDATE jobforge_alert_turn
  SET judged_at = jobforge_now()
  WHERE judge = $1 AND turn_until > jobforge_now()
  RETURNING judge
), given AS MATERIALIZED (
  SELECT *
  FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::float8[], $8::text[])
    AS g (rule, labels, severity, since, fired_at, value, summary)
), over AS (
  UPDATE jobforge_alerts a
  SET resolved_at = jobforge_now()
  FROM turn
  WHERE a.resolved_at IS NULL
    AND a.fired_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM given g WHERE g.rule = a.rule AND g.labels = a.labels)
), gone AS (
  DELETE FROM jobforge_alerts a
  USING turn
  WHERE (a.resolved_at IS NULL
         AND a.fired_at IS NULL
         AND NOT EXISTS (SELECT FROM given g WHERE g.rule = a.rule AND g.labels = a.labels))
     OR a.resolved_at < jobforge_now() - $9::bigint * interval '1 ms'
), put AS (
  INSERT INTO jobforge_alerts (rule, labels, severity, since, fired_at, value, summary)
  SELECT g.rule, g.labels, g.severity, g.since, g.fired_at, g.value, g.summary
  FROM turn
  CROSS JOIN given g
  ON CONFLICT (rule, labels) WHERE resolved_at IS NULL DO UPDATE
  SET severity = excluded.severity,
      since = excluded.since,
      fired_at = excluded.fired_at,
      value = excluded.value,
      summary = excluded.summary
)
SELECT judge FROM turn
