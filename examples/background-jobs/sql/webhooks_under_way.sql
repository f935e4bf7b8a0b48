-- How many deliveries have a job that has not ended. Uses webhook_deliveries_open.
SELECT count(*) AS under_way
FROM app.webhook_deliveries
WHERE status = 'handed_over'
