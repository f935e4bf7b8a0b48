-- Pauses a queue, unless it is paused already.
-- ?1 queue, ?2 now
-- Index: primary key.
INSERT INTO jobforge_queues (
    name,
    paused_at
)
VALUES (?1, ?2)
ON CONFLICT (name) DO NOTHING;
