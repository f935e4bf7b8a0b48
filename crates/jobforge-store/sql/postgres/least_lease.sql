-- Sets the shortest lease of workers that let it grow.
--
-- $1 in ms.
UPDATE jobforge_fleet SET least_lease_ms = $1 WHERE one AND least_lease_ms <> $1
