-- Workers by queue and how they are, with their slots: those that end in good order and those that were replaced do not count.
--
-- $1 milliseconds for which a lost worker counts as down. Reads the few workers that are remembered. Every row carries the
-- clock, and there is one of nulls when there is no worker.
SELECT tick.as_of, w.queue, w.state, w.workers, w.slots
FROM (SELECT jobforge_now() AS as_of) tick
LEFT JOIN (
  SELECT queue,
         CASE
           WHEN worker.ended_at IS NOT NULL THEN 'down'
           WHEN worker.lease_expires_at <= jobforge_now() THEN 'stale'
           WHEN worker.state = 'draining' THEN 'draining'
           WHEN worker.suspect_at IS NOT NULL
             OR jobforge_now() - worker.last_heartbeat_at > worker.lease_ms * interval '0.75 ms' THEN 'quiet'
           ELSE 'live'
         END AS state,
         count(*) AS workers,
         sum(worker.slots) AS slots
  FROM jobforge_workers worker
  CROSS JOIN LATERAL unnest(worker.queues) AS queue
  WHERE worker.state IN ('live', 'draining')
    OR (
      worker.state IN ('lost', 'dead')
      AND worker.ended_at > jobforge_now() - $1::bigint * interval '1 ms'
      AND NOT EXISTS (
        SELECT
        FROM jobforge_workers next
        WHERE next.state IN ('live', 'draining')
          AND next.started_at > worker.last_heartbeat_at
          AND next.hostname = worker.hostname
          AND next.queues = worker.queues
      )
    )
  GROUP BY 1, 2
) w ON true
