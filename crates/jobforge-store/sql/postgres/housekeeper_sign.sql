-- Notes who keeps house, and that it still does.
--
-- $1 who. One row.
INSERT INTO jobforge_housekeeper AS h (id, last_sign_at)
VALUES ($1, jobforge_now())
ON CONFLICT (one) DO UPDATE
SET id = excluded.id,
    last_sign_at = excluded.last_sign_at
