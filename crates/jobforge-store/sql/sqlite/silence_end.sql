-- Ends a silence that has not ended, and tells what it covered.
-- ?1 id, ?2 now
-- Index: primary key.
UPDATE jobforge_silences
SET until = ?2
WHERE id = ?1
  AND until > ?2
RETURNING rule, labels;
