-- Stores the clips of a page and the views that they have gained; counts those that are new and those that changed.
--
-- $1 a JSON array of {id, title, creator, views, votes, created_at}, no id twice. Uses the unique keys.
WITH page AS (
  SELECT *
  FROM jsonb_to_recordset($1::jsonb)
    AS p (id text, title text, creator text, views bigint, votes integer, created_at timestamptz)
), before AS (
  SELECT c.source_id, c.views
  FROM page p
  JOIN app.clips c ON c.source_id = p.id
  ORDER BY c.id
  FOR NO KEY UPDATE OF c
), stored AS (
  INSERT INTO app.clips AS c (source_id, title, creator_id, views, votes, created_at)
  SELECT p.id, p.title, u.id, p.views, p.votes, p.created_at
  FROM page p
  JOIN app.users u ON u.name = p.creator
  -- Read first, so that the rows are locked in the order of `before`.
  LEFT JOIN before b ON b.source_id = p.id
  ORDER BY p.id
  ON CONFLICT (source_id) DO UPDATE
  SET title = excluded.title, views = excluded.views, votes = excluded.votes
  WHERE (c.title, c.views, c.votes) IS DISTINCT FROM (excluded.title, excluded.views, excluded.votes)
  RETURNING c.id, c.source_id, c.views
), gained AS (
  INSERT INTO app.clip_views AS v (clip_id, hour, views)
  SELECT s.id, date_trunc('hour', now()), s.views - coalesce(b.views, 0)
  FROM stored s
  LEFT JOIN before b USING (source_id)
  WHERE s.views > coalesce(b.views, 0)
  ON CONFLICT (clip_id, hour) DO UPDATE
  SET views = v.views + excluded.views
)
SELECT count(*) FILTER (WHERE b.source_id IS NULL) AS created, count(b.source_id) AS updated
FROM stored
LEFT JOIN before b USING (source_id)
