-- Notes who keeps house, and that it still does.
-- ?1 who, ?2 now
-- One row.
INSERT INTO jobforge_housekeeper (one, id, last_sign_at)
VALUES (1, ?1, ?2)
ON CONFLICT (one) DO UPDATE
SET
    id = excluded.id,
    last_sign_at = excluded.last_sign_at;
