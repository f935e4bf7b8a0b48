-- Since when a queue is paused.
-- ?1 queue
-- Index: primary key.
SELECT paused_at
FROM jobforge_queues
WHERE name = ?1;
