-- Notes which jobs deliver what was picked.
--
-- $1 deliveries, $2 their jobs, in the same order. Uses the primary key.
UPDATE app.webhook_deliveries d
SET status = 'handed_over', round = d.round + 1, job_id = h.job_id
FROM unnest($1::bigint[], $2::uuid[]) AS h (id, job_id)
WHERE d.id = h.id
