-- How often this database was restored or taken over by a standby, as its fences tell. One row.
SELECT lease_base >> 32 FROM jobforge_fleet WHERE one
