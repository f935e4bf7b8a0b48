-- Which channel was told of which alert, of each channel the latest.
-- ?1 how many of each channel
SELECT
    channel,
    rule,
    labels,
    fired_at,
    at
FROM (
    SELECT
        *,
        row_number() OVER (PARTITION BY channel ORDER BY at DESC) AS place
    FROM jobforge_alerts_told
)
WHERE place <= ?1;
