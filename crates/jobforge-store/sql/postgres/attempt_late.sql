-- Notes what a worker still says of attempts that were ended by another hand.
--
-- $1 worker, then one array element a word of it: $2 job, $3 lease, $4 whether its end was refused, $5 whether its handler
-- ignores the request to stop. Uses the unique index on (job_id, lease).
UPDATE jobforge_job_attempts a
SET refused = a.refused + late.refused,
    stop_ignored_at = CASE WHEN late.ignoring THEN coalesce(a.stop_ignored_at, jobforge_now()) ELSE a.stop_ignored_at END
FROM (
  SELECT job_id, lease, count(*) FILTER (WHERE refused) AS refused, bool_or(ignoring) AS ignoring
  FROM unnest($2::uuid[], $3::bigint[], $4::boolean[], $5::boolean[]) AS said (job_id, lease, refused, ignoring)
  GROUP BY job_id, lease
) late
WHERE a.job_id = late.job_id AND a.lease = late.lease AND a.worker_id = $1
