-- Forgets who kept house where the copy was made.
-- One row.
DELETE FROM jobforge_housekeeper;
