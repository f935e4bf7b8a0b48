-- Keeps how far an attempt said it had come.
-- ?1 job id, ?2 lease, ?3 number of the report, ?4 now, ?5 progress, ?6 phase, ?7 message
-- Index: primary key.
INSERT INTO jobforge_job_progress (
    job_id,
    lease,
    report_no,
    at,
    progress,
    phase,
    message
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);
