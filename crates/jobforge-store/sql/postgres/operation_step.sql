-- Notes a step of an operation, if its turn is still the caller's and nobody has ended it; returns a row if so.
--
-- $1 id, $2 whose turn, $3 jobs done, $4 passed over, $5 cursor, $6 state, $7 error, $8 how many ms the turn goes on.
-- Uses the primary key.
UPDATE jobforge_operations
SET done = done + $3,
    passed_over = passed_over + $4,
    cursor = coalesce($5, cursor),
    state = $6,
    error = $7,
    updated_at = jobforge_now(),
    finished_at = CASE WHEN $6 <> 'running' THEN jobforge_now() END,
    turn_until = jobforge_now() + $8 * interval '1 ms'
WHERE id = $1 AND turn_of = $2 AND state = 'running'
RETURNING id
