-- Takes note that a standby has taken over, if nobody has yet.
--
-- The last claims and renewals may be lost with the server that it took over from. So nothing is claimed for the longest
-- lease, and each worker is given a whole one: by then it has renewed here and asked for its jobs, or stopped.
-- Scans the workers, of which there are few.
WITH noticed AS (
  UPDATE jobforge_fleet
  SET timeline = jobforge_timeline(),
      claims_from = jobforge_now() + interval '1 ms' * greatest(least_lease_ms, coalesce(
        (SELECT max(lease_ms) FROM jobforge_workers WHERE state IN ('live', 'draining')),
        0
      ))
  WHERE one AND timeline <> jobforge_timeline()
  RETURNING 1
)
UPDATE jobforge_workers
SET lease_expires_at = greatest(lease_expires_at, jobforge_now() + lease_ms * interval '1 ms')
WHERE state IN ('live', 'draining') AND EXISTS (SELECT FROM noticed)
