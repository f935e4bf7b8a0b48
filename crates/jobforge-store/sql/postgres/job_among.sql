-- Jobs of a short list of ids that match, newest first.
--
-- $1 tenant, $2 statuses, $3 type, $4 queue, $5 tag, $6 idempotency key, $7 worker (each null for any), $8 only before this
-- id, $9 limit, $10 the ids, $11 what they are now: ready, scheduled, retrying, quiet or stuck, of which the core has said
-- it; or null, $12 and $13 a place in the payload and the values of which one must be there, or null, $14 what the last error
-- must have in its message or kind, or null; lower() of collation C knows ASCII only, as SQLite's does. Uses the primary key,
-- once an id.
SELECT *
FROM jobforge_jobs
WHERE id = ANY ($10::uuid[])
  AND id < coalesce($8::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  AND ($1::text IS NULL OR tenant_id = $1)
  AND ($2::text[] IS NULL OR status = ANY ($2))
  AND ($3::text IS NULL OR type = $3)
  AND ($4::text IS NULL OR queue = $4)
  AND ($5::text IS NULL OR $5 = ANY (tags))
  AND ($6::text IS NULL OR idempotency_key = $6)
  AND ($7::text IS NULL OR (locked_by = $7 AND status IS NOT DISTINCT FROM 'running'))
  AND (
    $11::text IS NULL
    OR ($11 = 'ready' AND status = 'queued' AND run_at <= jobforge_now())
    OR ($11 = 'scheduled' AND status = 'queued' AND run_at > jobforge_now())
    OR ($11 = 'retrying' AND status = 'queued' AND run_at > jobforge_now() AND queued_because IN ('retry', 'rescue'))
    OR ($11 = 'quiet' AND status = 'running' AND heartbeat_due_at < jobforge_now())
    OR ($11 = 'stuck' AND status = 'running')
  )
  AND (
    $14::text IS NULL
    OR strpos(lower(coalesce(error ->> 'message', error::text) COLLATE "C"), lower($14 COLLATE "C")) > 0
    OR strpos(lower((error ->> 'kind') COLLATE "C"), lower($14 COLLATE "C")) > 0
  )
  AND ($12::text[] IS NULL OR payload #> $12 = ANY ($13::jsonb[]))
ORDER BY id DESC
LIMIT $9
