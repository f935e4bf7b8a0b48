-- Stores one job's sign of life and report, under its lease only. Absent parts stay as they are.
-- ?1 id, ?2 lease, ?3 worker, ?4 now, ?5 next due at, ?6 progress, ?7 message, ?8 phase, ?9 whether the work went on,
-- ?10 items processed, ?11 failed, ?12 skipped, ?13 checkpoint, ?14 milliseconds after which the worker means to send the next
-- A silence of more than twice the interval that was meant is kept: at most 16, the longest.
-- Index: primary key; touches no index, but for such a silence.
UPDATE jobforge_jobs
SET
    beats = beats + 1,
    beat_interval_ms = ?14,
    silent_gaps = CASE
        WHEN ?4 - heartbeat_at > beat_interval_ms * 2000 THEN (
            SELECT json_group_array(json(one) ORDER BY one ->> 'ended_at')
            FROM (
                SELECT value AS one
                FROM json_each(json_insert(coalesce(silent_gaps, '[]'), '$[#]', json_object(
                    'ended_at', strftime('%Y-%m-%dT%H:%M:%S', ?4 / 1000000, 'unixepoch') || printf('.%06dZ', ?4 % 1000000),
                    'ms', (?4 - heartbeat_at) / 1000,
                    'interval_ms', beat_interval_ms
                )))
                ORDER BY value ->> 'ms' DESC, value ->> 'ended_at'
                LIMIT 16
            )
        )
        ELSE silent_gaps
    END,
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
