-- The rules of a consistent database: the rows that break each, at most ?1 of a rule.
-- ?1 rows shown per rule, ?2 now
-- Reads whole tables, so it is an operator's tool, not a health probe.
SELECT
    rule,
    meaning,
    self_healing,
    broken
FROM (
    SELECT
        rule,
        meaning,
        self_healing,
        broken,
        row_number() OVER (PARTITION BY rule ORDER BY broken) AS place
    FROM (
        SELECT
            'running_is_owned' AS rule,
            'a running job has an owner, and no other has one' AS meaning,
            0 AS self_healing,
            id AS broken
        FROM jobforge_jobs
        WHERE (status = 'running') <> (locked_by IS NOT NULL)
           OR (status = 'running') <> (locked_at IS NOT NULL)
        UNION ALL
        SELECT 'ended_has_end', 'a job has an end if and only if it has ended', 0, id
        FROM jobforge_jobs
        WHERE (status IN ('succeeded', 'failed', 'dead', 'canceled')) <> (finished_at IS NOT NULL)
        UNION ALL
        SELECT 'failure_says_why', 'a failed or dead job says why', 0, id
        FROM jobforge_jobs
        WHERE status IN ('failed', 'dead')
          AND (error IS NULL OR json_extract(error, '$.message') IS NULL)
        UNION ALL
        SELECT 'times_in_order', 'a job starts after it was made and ends after it started', 0, id
        FROM jobforge_jobs
        WHERE started_at < created_at
           OR finished_at < started_at
        UNION ALL
        SELECT 'times_are_past', 'nothing has happened a minute from now', 1, id
        FROM jobforge_jobs
        WHERE max(created_at, coalesce(started_at, 0), coalesce(finished_at, 0), coalesce(heartbeat_at, 0))
            > ?2 + 60000000
        UNION ALL
        SELECT 'attempt_times_in_order', 'an attempt ends after it started', 0, job_id
        FROM jobforge_job_attempts
        WHERE finished_at < started_at
        UNION ALL
        SELECT 'owner_is_known', 'the owner of a running job is a worker that has not ended', 1, job.id
        FROM jobforge_jobs AS job
        LEFT JOIN jobforge_workers AS worker ON worker.id = job.locked_by
        WHERE job.status = 'running'
          AND (worker.id IS NULL OR worker.state NOT IN ('live', 'draining'))
          AND coalesce(worker.ended_at, job.locked_at) < ?2 - 10000000
        UNION ALL
        SELECT 'lease_is_kept', 'no worker is 10 s past its lease without having been marked lost', 1, id
        FROM jobforge_workers
        WHERE state IN ('live', 'draining')
          AND lease_expires_at < ?2 - 10000000
        UNION ALL
        SELECT 'slot_has_one_process', 'a slot of a machine is one process''s', 1, min(id)
        FROM jobforge_workers
        WHERE state IN ('live', 'draining')
          AND slot_id IS NOT NULL
        GROUP BY slot_id, machine_id, boot_id
        HAVING count(DISTINCT format('%s/%s/%s', pid_namespace, pid, process_start)) > 1
        UNION ALL
        SELECT 'dead_has_proof', 'a worker that counts as dead has a proof', 0, id
        FROM jobforge_workers
        WHERE state = 'dead'
          AND death IS NULL
        UNION ALL
        SELECT 'running_attempt_is_open', 'no attempt of a running job has ended under its present fence', 0, job.id
        FROM jobforge_jobs AS job
        JOIN jobforge_job_attempts AS attempt ON attempt.job_id = job.id AND attempt.lease = job.lease
        WHERE job.status = 'running'
        UNION ALL
        SELECT 'fence_is_highest', 'no attempt has a higher fence than its job', 0, attempt.job_id
        FROM jobforge_job_attempts AS attempt
        JOIN jobforge_jobs AS job ON job.id = attempt.job_id
        WHERE attempt.lease > job.lease
        UNION ALL
        SELECT 'success_is_final', 'a job that succeeded under its last fence has succeeded', 0, job.id
        FROM jobforge_jobs AS job
        JOIN jobforge_job_attempts AS attempt ON attempt.job_id = job.id AND attempt.lease = job.lease
        WHERE attempt.outcome = 'succeeded'
          AND job.status <> 'succeeded'
        UNION ALL
        SELECT 'result_is_of_success', 'only a succeeded job has a result, and it is the one it names', 0, result.job_id
        FROM jobforge_job_results AS result
        JOIN jobforge_jobs AS job ON job.id = result.job_id
        WHERE job.status <> 'succeeded'
           OR job.result_id IS NOT result.id
        UNION ALL
        SELECT 'named_result_exists', 'the result that a job names is there', 0, job.id
        FROM jobforge_jobs AS job
        LEFT JOIN jobforge_job_results AS result ON result.job_id = job.id
        WHERE job.result_id IS NOT NULL
          AND result.id IS NULL
        UNION ALL
        SELECT 'children_share_tenant', 'attempts and results carry the tenant of their job', 0, job.id
        FROM jobforge_jobs AS job
        JOIN (
            SELECT
                job_id,
                tenant_id
            FROM jobforge_job_attempts
            UNION ALL
            SELECT
                job_id,
                tenant_id
            FROM jobforge_job_results
        ) AS child ON child.job_id = job.id
        WHERE child.tenant_id <> job.tenant_id
        UNION ALL
        SELECT 'job_is_listed', 'lists find every job by its tenant, type and queue', 0, job.id
        FROM jobforge_jobs AS job
        WHERE NOT EXISTS (
            SELECT 1
            FROM jobforge_kinds AS kinds
            JOIN jobforge_listed AS listed ON listed.kind = kinds.kind AND listed.id = job.id
            WHERE kinds.tenant_id = job.tenant_id
              AND kinds.type = job.type
              AND kinds.queue = job.queue
        )
        UNION ALL
        SELECT 'tag_is_listed', 'lists find every job by its tags', 0, job.id
        FROM jobforge_jobs AS job
        CROSS JOIN json_each(job.tags) AS tags
        WHERE NOT EXISTS (SELECT 1 FROM jobforge_tagged WHERE tag = tags.value AND id = job.id)
        UNION ALL
        -- The opposite is no fault: a waiting job whose time has come is marked by the next claim.
        SELECT 'due_mark_is_right', 'no queued job is marked as due long before its time', 1, id
        FROM jobforge_jobs
        WHERE status = 'queued'
          AND due = 1
          AND run_at > max(?2, updated_at) + 60000000
    )
)
WHERE place <= ?1
ORDER BY rule, broken;
