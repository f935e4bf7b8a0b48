-- Paused queues.
SELECT
    name,
    paused_at
FROM jobforge_queues;
