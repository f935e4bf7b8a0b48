-- Finds, for each job of a batch, the job that has its idempotency key, or else its id; in the order of the batch.
--
-- One array element a job: $1 id, $2 tenant, $3 type, $4 idempotency key or null.
-- Uses idx_jobforge_jobs_idempotency and the primary key.
SELECT coalesce(by_key.id, by_id.id) AS id,
       coalesce(by_key.payload, by_id.payload) AS payload,
       coalesce(by_key.id IS NOT NULL
         OR (by_id.tenant_id, by_id.type, by_id.idempotency_key) IS NOT DISTINCT FROM (n.tenant_id, n.type, n.key), false) AS same
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS n (id, tenant_id, type, key, place)
LEFT JOIN jobforge_jobs by_key
  ON by_key.tenant_id = n.tenant_id AND by_key.type = n.type AND by_key.idempotency_key = n.key
LEFT JOIN jobforge_jobs by_id ON by_id.id = n.id
ORDER BY n.place
