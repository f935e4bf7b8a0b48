-- Whether the last incarnation of the same worker in the same process was declared lost.
-- ?1 id, ?2 host, ?3 pid, ?4 process start, ?5 queues, ?6 name
-- Reads the few workers that are remembered.
SELECT state = 'lost'
FROM jobforge_workers
WHERE hostname = ?2
  AND pid = ?3
  AND process_start = ?4
  AND queues = ?5
  AND name IS ?6
  AND id <> ?1
ORDER BY started_at DESC
LIMIT 1;
