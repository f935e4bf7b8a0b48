-- Forgets a batch of what was told long ago; returns how much.
--
-- $1 how many ms it is kept, $2 how many at once. Uses the primary key.
WITH old AS MATERIALIZED (
  SELECT at, process
  FROM jobforge_samples
  WHERE at < jobforge_now() - $1::bigint * interval '1 ms'
  ORDER BY at, process
  LIMIT $2
  FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM jobforge_samples s
  USING old o
  WHERE s.at = o.at AND s.process = o.process
  RETURNING 1
)
SELECT count(*) FROM gone
