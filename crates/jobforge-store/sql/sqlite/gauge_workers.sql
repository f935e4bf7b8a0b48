-- Workers by queue and how they are, with their slots: those that end in good order and those that were replaced do not count.
-- ?1 now, ?2 an hour ago
-- Reads the few workers that are remembered.
SELECT
    queue.value,
    CASE
        WHEN worker.ended_at IS NOT NULL THEN 'down'
        WHEN worker.lease_expires_at <= ?1 THEN 'stale'
        WHEN worker.state = 'draining' THEN 'draining'
        WHEN worker.suspect_at IS NOT NULL OR ?1 - worker.last_heartbeat_at > worker.lease_ms * 750 THEN 'quiet'
        ELSE 'live'
    END,
    count(*),
    sum(worker.slots)
FROM jobforge_workers AS worker
CROSS JOIN json_each(worker.queues) AS queue
WHERE worker.state IN ('live', 'draining')
   OR (
       worker.state IN ('lost', 'dead')
       AND worker.ended_at > ?2
       AND NOT EXISTS (
           SELECT 1
           FROM jobforge_workers AS next
           WHERE next.state IN ('live', 'draining')
             AND next.started_at > worker.last_heartbeat_at
             AND next.hostname = worker.hostname
             AND next.queues = worker.queues
       )
   )
GROUP BY 1, 2;
