-- How far a source was read; a new one begins at the beginning.
--
-- $1 source.
WITH begun AS (
  INSERT INTO app.sync_cursors (source, position)
  VALUES ($1, '')
  ON CONFLICT (source) DO NOTHING
  RETURNING position
)
SELECT position FROM begun
UNION ALL
SELECT position FROM app.sync_cursors WHERE source = $1
