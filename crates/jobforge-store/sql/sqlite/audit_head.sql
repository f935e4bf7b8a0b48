-- The last place of the chain.
-- Index: place.
SELECT
    place,
    hash
FROM jobforge_audit
WHERE place IS NOT NULL
ORDER BY place DESC
LIMIT 1;
