-- Begins a silence.
-- ?1 id, ?2 rule, ?3 labels, ?4 until when, ?5 now, ?6 by whom, ?7 why
INSERT INTO jobforge_silences (id, rule, labels, until, created_at, created_by, reason)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);
