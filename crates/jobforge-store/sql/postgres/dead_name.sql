-- Stores the fingerprints of dead jobs' causes.
--
-- One array element a job: $1 id, $2 fingerprint. Uses the primary key.
UPDATE jobforge_jobs j
SET dead_group = named.dead_group,
    revision = j.revision + 1
FROM unnest($1::uuid[], $2::text[]) AS named (id, dead_group)
WHERE j.id = named.id AND j.status IS NOT DISTINCT FROM 'dead' AND j.dead_group IS NULL
