-- Ids of queued jobs whose time has come, in no order.
--
-- $1 limit. Uses idx_jobforge_ready, and idx_jobforge_scheduled for those that no claim has taken over since: in their order
-- and unfiltered, for the planner cannot know how many of a big table are due.
SELECT id
FROM (
  (SELECT id FROM jobforge_ready ORDER BY queue, alone, priority, run_at, id LIMIT $1)
  UNION ALL
  (
    SELECT id
    FROM (SELECT id, run_at FROM jobforge_scheduled ORDER BY run_at LIMIT $1) first
    WHERE run_at <= jobforge_now()
  )
) due
LIMIT $1
