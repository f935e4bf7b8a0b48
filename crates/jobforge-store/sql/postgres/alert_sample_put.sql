-- Keeps what a process tells of itself now.
--
-- $1 process, $2 lines.
INSERT INTO jobforge_samples (at, process, series)
VALUES (jobforge_now(), $1, $2)
ON CONFLICT DO NOTHING
