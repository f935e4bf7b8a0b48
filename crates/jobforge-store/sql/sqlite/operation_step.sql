-- Notes a step of an operation, if its turn is still the caller's and nobody has ended it.
-- ?1 id, ?2 whose turn, ?3 jobs done, ?4 passed over, ?5 cursor, ?6 state, ?7 error, ?8 now, ?9 until when the turn goes on
-- Index: primary key.
UPDATE jobforge_operations
SET
    done = done + ?3,
    passed_over = passed_over + ?4,
    cursor = coalesce(?5, cursor),
    state = ?6,
    error = ?7,
    updated_at = ?8,
    finished_at = CASE WHEN ?6 <> 'running' THEN ?8 END,
    turn_until = ?9
WHERE id = ?1
  AND turn_of = ?2
  AND state = 'running';
