-- Offers queued jobs again that have no row in either side table, as after a restored dump. Returns them.
--
-- $1 limit. Reads the queued jobs through idx_jobforge_jobs_claim.
WITH missing AS (
  SELECT j.id, j.queue, j.priority, j.run_at, j.type, j.alone, j.queued_because IN ('retry', 'rescue') AS retrying
  FROM jobforge_jobs j
  WHERE j.status = 'queued'
    AND NOT EXISTS (
      SELECT FROM jobforge_ready r
      WHERE r.queue = j.queue AND r.alone = j.alone AND r.priority = j.priority AND r.run_at = j.run_at AND r.id = j.id
    )
    AND NOT EXISTS (SELECT FROM jobforge_scheduled s WHERE s.run_at = j.run_at AND s.id = j.id)
  LIMIT $1
  FOR UPDATE OF j SKIP LOCKED
), ready AS (
  INSERT INTO jobforge_ready (id, queue, priority, run_at, type, alone)
  SELECT id, queue, priority, run_at, type, alone FROM missing WHERE run_at <= jobforge_now()
), scheduled AS (
  INSERT INTO jobforge_scheduled (id, queue, priority, run_at, type, alone, retrying)
  SELECT id, queue, priority, run_at, type, alone, retrying FROM missing WHERE run_at > jobforge_now()
), told AS (
  SELECT pg_notify('jobforge', 'work:' || queue) FROM (SELECT DISTINCT queue FROM missing) q
)
SELECT count(*) AS mended, (SELECT count(*) FROM told) AS told FROM missing
