-- Adds up the votes of users' clips, and awards the badges that they have earned. Returns whose reputation or badges
-- changed. A sum that does not fit is an error that names its user's batch.
--
-- $1 ids, $2 as of this moment. Uses clips_creator and the primary keys.
WITH earned AS (
  SELECT u.id, coalesce(sum(greatest(c.votes, 0)), 0)::integer AS reputation, count(c.id) AS clips
  FROM app.users u
  LEFT JOIN app.clips c ON c.creator_id = u.id
  WHERE u.id = ANY ($1)
  GROUP BY u.id
), awarded AS (
  INSERT INTO app.badges (user_id, badge, awarded_at)
  SELECT e.id, b.badge, $2
  FROM earned e
  JOIN (VALUES ('first_clip', 1, 0), ('ten_clips', 10, 0), ('liked', 1, 100), ('loved', 1, 1000))
    AS b (badge, clips, reputation) ON e.clips >= b.clips AND e.reputation >= b.reputation
  ORDER BY e.id, b.badge
  ON CONFLICT DO NOTHING
  RETURNING user_id
), changed AS (
  UPDATE app.users u
  SET reputation = e.reputation, reputation_at = $2
  FROM earned e
  WHERE u.id = e.id AND u.reputation <> e.reputation
  RETURNING u.id
)
SELECT id FROM changed
UNION
SELECT user_id FROM awarded
