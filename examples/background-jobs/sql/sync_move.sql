-- Moves on from a position, unless somebody else has: whatever is stored in the same transaction is stored once.
--
-- $1 source, $2 from, $3 to.
UPDATE app.sync_cursors
SET position = $3, moved_at = now()
WHERE source = $1 AND position = $2
