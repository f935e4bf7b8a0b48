-- Notes what a worker still says of an attempt that was ended by another hand.
-- ?1 job, ?2 lease, ?3 worker, ?4 now, ?5 whether its end was refused, ?6 whether its handler ignores the request to stop
-- Index: primary key.
UPDATE jobforge_job_attempts
SET
    refused = refused + ?5,
    stop_ignored_at = CASE WHEN ?6 THEN coalesce(stop_ignored_at, ?4) ELSE stop_ignored_at END
WHERE job_id = ?1
  AND lease = ?2
  AND worker_id = ?3;
