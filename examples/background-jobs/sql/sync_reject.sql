-- Notes what could not be taken over.
--
-- $1 source, $2 the clip's id there, $3 why.
INSERT INTO app.sync_rejects (source, source_id, why)
VALUES ($1, $2, $3)
ON CONFLICT (source, source_id) DO UPDATE
SET why = excluded.why, seen_at = now()
