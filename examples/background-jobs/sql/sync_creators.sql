-- Makes sure that the creators of a page are there.
--
-- $1 names, in order.
INSERT INTO app.users (name)
SELECT name
FROM unnest($1::text[]) AS name
ON CONFLICT (name) DO NOTHING
