-- Ids of queued jobs whose time has not come, the last first.
--
-- $1 limit. Uses idx_jobforge_scheduled, which may begin with some whose time has come.
SELECT id
FROM (SELECT id, run_at FROM jobforge_scheduled ORDER BY run_at DESC LIMIT $1) last
WHERE run_at > jobforge_now()
