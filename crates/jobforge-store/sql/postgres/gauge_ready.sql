-- Jobs that may run now, by type.
--
-- $1 look at most at so many. Reads the side tables.
SELECT type, count(*)
FROM (
  (SELECT type FROM jobforge_ready LIMIT $1)
  UNION ALL
  (SELECT type FROM jobforge_scheduled WHERE run_at <= jobforge_now() LIMIT $1)
) r
GROUP BY type
