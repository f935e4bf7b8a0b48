-- Lets any server judge alerts at once, whoever did where the copy was made.
-- One row.
UPDATE jobforge_alert_turn
SET
    judge = NULL,
    turn_until = NULL
WHERE one = 1;
