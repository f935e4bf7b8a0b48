-- Stores one job's sign of life and report, under its lease only. Absent parts stay as they are.
-- ?1 id, ?2 lease, ?3 worker, ?4 now, ?5 next due at, ?6 progress, ?7 message, ?8 phase, ?9 whether the work went on,
-- ?10 items processed, ?11 failed, ?12 skipped, ?13 checkpoint
-- Index: primary key; touches no index.
UPDATE jobforge_jobs
SET
    heartbeat_at = ?4,
    heartbeat_due_at = ?5,
    progress = coalesce(?6, progress),
    progress_message = coalesce(?7, progress_message),
    phase = coalesce(?8, phase),
    progress_at = CASE WHEN ?9 THEN ?4 ELSE progress_at END,
    items_processed = coalesce(?10, items_processed),
    items_failed = coalesce(?11, items_failed),
    items_skipped = coalesce(?12, items_skipped),
    checkpoint = coalesce(?13, checkpoint)
WHERE id = ?1
  AND lease = ?2
  AND locked_by = ?3
  AND status = 'running';
