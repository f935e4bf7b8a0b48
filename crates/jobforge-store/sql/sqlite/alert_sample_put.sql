-- Keeps what a process tells of itself.
-- ?1 now, ?2 process, ?3 lines
INSERT INTO jobforge_samples (at, process, series)
VALUES (?1, ?2, ?3)
ON CONFLICT DO NOTHING;
