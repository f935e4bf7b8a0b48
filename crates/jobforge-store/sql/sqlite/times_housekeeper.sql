-- Who keeps house is taken to have said so just now.
-- ?1 now
-- One row.
UPDATE jobforge_housekeeper
SET last_sign_at = ?1
WHERE one = 1;
