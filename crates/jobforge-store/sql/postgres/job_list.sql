-- Lists jobs, newest first.
--
-- $1 tenant, $2 statuses, $3 type, $4 queue, $5 tag, $6 idempotency key, $7 worker, $8 only before this id, $9 limit;
-- a null filter is none. Walks the primary key backwards: ids are made in the order of time.
SELECT *
FROM jobforge_jobs
WHERE ($1::text IS NULL OR tenant_id = $1)
  AND ($2::text[] IS NULL OR status = ANY ($2))
  AND ($3::text IS NULL OR type = $3)
  AND ($4::text IS NULL OR queue = $4)
  AND ($5::text IS NULL OR $5 = ANY (tags))
  AND ($6::text IS NULL OR idempotency_key = $6)
  AND ($7::text IS NULL OR locked_by = $7)
  AND ($8::uuid IS NULL OR id < $8)
ORDER BY id DESC
LIMIT $9
