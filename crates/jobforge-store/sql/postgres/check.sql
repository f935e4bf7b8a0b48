-- The rules of a consistent database: one row for every rule that is broken, with at most $1 of the rows that break it.
--
-- $1 rows shown per rule. Reads whole tables, so it is an operator's tool, not a health probe.
SELECT rule, meaning, self_healing, (array_agg(broken ORDER BY broken))[1:$1] AS rows
FROM (
  SELECT 'running_is_owned' AS rule, 'a running job has an owner, and no other has one' AS meaning,
         false AS self_healing, id::text AS broken
  FROM jobforge_jobs
  WHERE (status = 'running') IS DISTINCT FROM (locked_by IS NOT NULL AND locked_at IS NOT NULL)
     OR (status <> 'running' AND (locked_by IS NOT NULL OR locked_at IS NOT NULL))
  UNION ALL
  SELECT 'ended_has_end', 'a job has an end if and only if it has ended', false, id::text
  FROM jobforge_jobs
  WHERE (status IN ('succeeded', 'failed', 'dead', 'canceled')) IS DISTINCT FROM (finished_at IS NOT NULL)
  UNION ALL
  SELECT 'failure_says_why', 'a failed or dead job says why', false, id::text
  FROM jobforge_jobs
  WHERE status IN ('failed', 'dead') AND (error IS NULL OR error ->> 'message' IS NULL)
  UNION ALL
  SELECT 'times_in_order', 'a job starts after it was made and ends after it started', false, id::text
  FROM jobforge_jobs
  WHERE started_at < created_at OR finished_at < started_at
  UNION ALL
  SELECT 'times_are_past', 'nothing has happened a minute from now', true, id::text
  FROM jobforge_jobs
  WHERE greatest(created_at, started_at, finished_at, heartbeat_at) > jobforge_now() + interval '60 s'
  UNION ALL
  SELECT 'attempt_times_in_order', 'an attempt ends after it started', false, job_id::text
  FROM jobforge_job_attempts
  WHERE finished_at IS NULL OR finished_at < started_at
  UNION ALL
  SELECT 'owner_is_known', 'the owner of a running job is a worker that has not ended', true, j.id::text
  FROM jobforge_jobs j
  LEFT JOIN jobforge_workers w ON w.id = j.locked_by
  WHERE j.status = 'running' AND (w.id IS NULL OR w.state NOT IN ('live', 'draining'))
    AND coalesce(w.ended_at, j.locked_at) < jobforge_now() - interval '10 s'
  UNION ALL
  SELECT 'lease_is_kept', 'no worker is 10 s past its lease without having been marked lost', true, id
  FROM jobforge_workers
  WHERE state IN ('live', 'draining') AND lease_expires_at < jobforge_now() - interval '10 s'
  UNION ALL
  SELECT 'slot_has_one_process', 'a slot of a machine is one process''s', true, min(id)
  FROM jobforge_workers
  WHERE state IN ('live', 'draining') AND slot_id IS NOT NULL
  GROUP BY slot_id, machine_id, boot_id
  HAVING count(DISTINCT (pid_namespace, pid, process_start)) > 1
  UNION ALL
  SELECT 'dead_has_proof', 'a worker that counts as dead has a proof', false, id
  FROM jobforge_workers
  WHERE state = 'dead' AND death IS NULL
  UNION ALL
  SELECT 'running_attempt_is_open', 'no attempt of a running job has ended under its present fence', false, j.id::text
  FROM jobforge_jobs j
  JOIN jobforge_job_attempts a ON a.job_id = j.id AND a.lease = j.lease
  WHERE j.status = 'running'
  UNION ALL
  SELECT 'fence_is_highest', 'no attempt has a higher fence than its job', false, j.id::text
  FROM jobforge_jobs j
  JOIN jobforge_job_attempts a ON a.job_id = j.id
  WHERE a.lease > j.lease
  UNION ALL
  SELECT 'success_is_final', 'a job that succeeded under its last fence has succeeded', false, j.id::text
  FROM jobforge_jobs j
  JOIN jobforge_job_attempts a ON a.job_id = j.id AND a.lease = j.lease
  WHERE a.outcome = 'succeeded' AND j.status <> 'succeeded'
  UNION ALL
  SELECT 'result_is_of_success', 'only a succeeded job has a result, and it is the one it names', false, r.job_id::text
  FROM jobforge_job_results r
  JOIN jobforge_jobs j ON j.id = r.job_id
  WHERE j.status <> 'succeeded' OR j.result_id IS DISTINCT FROM r.id
  UNION ALL
  SELECT 'named_result_exists', 'the result that a job names is there', false, j.id::text
  FROM jobforge_jobs j
  LEFT JOIN jobforge_job_results r ON r.job_id = j.id
  WHERE j.result_id IS NOT NULL AND r.id IS NULL
  UNION ALL
  SELECT 'children_share_tenant', 'attempts and results carry the tenant of their job', false, j.id::text
  FROM jobforge_jobs j
  JOIN (
    SELECT job_id, tenant_id FROM jobforge_job_attempts
    UNION ALL
    SELECT job_id, tenant_id FROM jobforge_job_results
  ) c ON c.job_id = j.id
  WHERE c.tenant_id <> j.tenant_id
  UNION ALL
  SELECT 'queued_is_offered', 'a queued job stands in jobforge_ready or jobforge_scheduled', true, j.id::text
  FROM jobforge_jobs j
  WHERE j.status = 'queued'
    AND NOT EXISTS (SELECT FROM jobforge_ready r WHERE r.queue = j.queue AND r.alone = j.alone AND r.priority = j.priority AND r.run_at = j.run_at AND r.id = j.id)
    AND NOT EXISTS (SELECT FROM jobforge_scheduled s WHERE s.run_at = j.run_at AND s.id = j.id)
  UNION ALL
  SELECT 'job_is_listed', 'lists find every job by its tenant, type and queue', false, j.id::text
  FROM jobforge_jobs j
  WHERE NOT EXISTS (
    SELECT
    FROM jobforge_kinds k
    JOIN jobforge_listed l ON l.kind = k.kind AND l.id = j.id
    WHERE k.tenant_id = j.tenant_id AND k.type = j.type AND k.queue = j.queue)
  UNION ALL
  SELECT 'tag_is_listed', 'lists find every job by its tags', false, j.id::text
  FROM jobforge_jobs j
  CROSS JOIN LATERAL unnest(j.tags) word
  WHERE j.tags IS NOT NULL AND NOT EXISTS (SELECT FROM jobforge_tagged t WHERE t.tag = word AND t.id = j.id)
  UNION ALL
  SELECT 'offer_is_queued', 'every row of jobforge_ready and jobforge_scheduled belongs to a queued job', true, o.id::text
  FROM (SELECT id FROM jobforge_ready UNION ALL SELECT id FROM jobforge_scheduled) o
  LEFT JOIN jobforge_jobs j ON j.id = o.id
  WHERE j.status IS DISTINCT FROM 'queued'
) broken
GROUP BY rule, meaning, self_healing
ORDER BY rule
