-- How often this file was restored, as its fences tell.
-- One row.
SELECT lease_base >> 32
FROM jobforge_fleet
WHERE one = 1;
