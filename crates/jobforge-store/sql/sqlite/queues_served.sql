-- Queues that an active worker takes from.
-- Scans the workers, of which there are few.
SELECT DISTINCT served.value
FROM jobforge_workers, json_each(jobforge_workers.queues) AS served
WHERE jobforge_workers.state IN ('live', 'draining');
