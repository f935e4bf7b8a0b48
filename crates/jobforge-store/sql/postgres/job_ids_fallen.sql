-- Ids of the jobs that failed, died or were canceled, newest first.
--
-- $1 which of these, $2 only before this id or null, $3 limit. Uses idx_jobforge_jobs_fallen.
SELECT found.id
FROM (SELECT DISTINCT word FROM unnest($1::text[]) word) wanted
CROSS JOIN LATERAL (
  SELECT id
  FROM jobforge_jobs
  WHERE status = wanted.word
    AND status IN ('failed', 'dead', 'canceled')
    AND id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  ORDER BY id DESC
  LIMIT $3
) found
ORDER BY found.id DESC
LIMIT $3
