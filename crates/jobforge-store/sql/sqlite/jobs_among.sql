-- Jobs of a short list of ids that match, newest first.
-- ?1 tenant, ?2 statuses as a JSON list, ?3 type, ?4 queue, ?5 tag, ?6 idempotency key, ?7 worker (each NULL for all),
-- ?8 before this id, ?9 at most so many, ?10 the list: ids in JSON, ?11 what they are now: ready,
-- scheduled, retrying, quiet or stuck, of which the core has said it; NULL for all, ?12 now, ?13 what the last error must have
-- in its message or kind, or NULL; lower() knows ASCII only
-- Index: primary key, once per id of the list.
SELECT jobforge_jobs.*
FROM jobforge_jobs
WHERE id IN (SELECT value FROM json_each(?10))
  AND id < coalesce(?8, '~')
  AND (?1 IS NULL OR tenant_id = ?1)
  AND (?2 IS NULL OR +status IN (SELECT value FROM json_each(?2)))
  AND (?3 IS NULL OR type = ?3)
  AND (?4 IS NULL OR queue = ?4)
  AND (?5 IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?5))
  AND (?6 IS NULL OR idempotency_key = ?6)
  AND (?7 IS NULL OR (locked_by = ?7 AND +status = 'running'))
  AND (
      ?11 IS NULL
      OR (?11 = 'ready' AND +status = 'queued' AND run_at <= ?12)
      OR (?11 = 'scheduled' AND +status = 'queued' AND run_at > ?12)
      OR (?11 = 'retrying' AND +status = 'queued' AND run_at > ?12 AND queued_because IN ('retry', 'rescue'))
      OR (?11 = 'quiet' AND +status = 'running' AND heartbeat_due_at < ?12)
      OR (?11 = 'stuck' AND +status = 'running')
  )
  AND (
      ?13 IS NULL
      OR CASE WHEN json_valid(error)
          THEN instr(lower(coalesce(error ->> '$.message', error)), lower(?13)) > 0
              OR instr(lower(error ->> '$.kind'), lower(?13)) > 0
          ELSE instr(lower(error), lower(?13)) > 0
      END
  )
ORDER BY id DESC
LIMIT ?9;
