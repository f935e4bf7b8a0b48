-- Pauses or resumes a queue; returns a row if that changed anything.
--
-- $1 queue, $2 whether to pause, $3 by whom.
WITH changed AS (
  INSERT INTO jobforge_queues AS q (name, paused_at)
  SELECT $1, CASE WHEN $2 THEN jobforge_now() END WHERE $2 OR EXISTS (SELECT FROM jobforge_queues o WHERE o.name = $1)
  ON CONFLICT (name) DO UPDATE SET paused_at = excluded.paused_at
  WHERE (q.paused_at IS NULL) = $2
  RETURNING name, paused_at
)
SELECT pg_notify('jobforge', 'work:' || name), paused_at IS NOT NULL AS paused,
  jobforge_audit_add($3, CASE WHEN $2 THEN 'queue.pause' ELSE 'queue.resume' END, name, NULL, NULL, NULL)
FROM changed
