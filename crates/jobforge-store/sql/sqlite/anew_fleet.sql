-- Lifts all fences from now on above those that were given out where the copy was made, or by what it replaces.
-- ?1 epoch of what it replaces
-- One row.
UPDATE jobforge_fleet
SET lease_base = (max(lease_base >> 32, ?1) + 1) << 32
WHERE one = 1;
