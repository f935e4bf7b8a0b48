-- Keeps the newest log lines of an attempt.
-- ?1 id, ?2 lease, ?3 attempt number, ?4 lines, ?5 now
-- Index: primary key.
INSERT INTO jobforge_job_logs (
    job_id,
    lease,
    attempt_no,
    tail,
    updated_at
)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (job_id, lease) DO UPDATE
SET
    tail = excluded.tail,
    updated_at = excluded.updated_at;
