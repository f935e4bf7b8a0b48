-- Lets a queue run again.
-- ?1 queue
-- Index: primary key.
DELETE FROM jobforge_queues
WHERE name = ?1;
