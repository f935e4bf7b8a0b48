-- Whether a queue is paused.
-- ?1 queue
-- Index: primary key.
SELECT 1
FROM jobforge_queues
WHERE name = ?1;
