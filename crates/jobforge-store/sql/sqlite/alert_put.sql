-- Keeps one thing that holds.
-- ?1 rule, ?2 labels, ?3 severity, ?4 since when, ?5 when it fired, ?6 value, ?7 sentence
-- Index: idx_jobforge_alerts_active.
INSERT INTO jobforge_alerts (rule, labels, severity, since, fired_at, value, summary)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (rule, labels) WHERE resolved_at IS NULL DO UPDATE
SET
    severity = excluded.severity,
    since = excluded.since,
    fired_at = excluded.fired_at,
    value = excluded.value,
    summary = excluded.summary;
