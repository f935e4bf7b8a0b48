-- The next deliveries to hand over, kept from others until the transaction ends.
--
-- $1 how many. Uses webhook_deliveries_open.
SELECT id, url, event_type, data, secret_ref, round
FROM app.webhook_deliveries
WHERE status = 'failed' AND retry_at <= now()
ORDER BY retry_at, id
LIMIT $1
FOR UPDATE SKIP LOCKED
