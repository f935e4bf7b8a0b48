-- Gives an entry its place in the chain.
-- ?1 number, ?2 place, ?3 hash
-- Index: primary key.
UPDATE jobforge_audit
SET
    place = ?2,
    hash = ?3
WHERE id = ?1
  AND place IS NULL;
