-- Renews a worker's lease, unless it has run out or was taken; returns how long it lasts in ms, and whether the worker was
-- told to restart.
--
-- A lease that was given stays until it is over, also when the worker asks for a shorter one from now on: its answer may be
-- lost, and the worker may act until then. After a step of the clock it lasts no longer than it was given for.
-- ?1 worker, ?2 now, ?3 whether it drains, ?4 how long the lease is to last from now on in ms (renew_look), ?5 the lease that
-- was wished in ms, ?6 whether that may grow
-- Index: primary key.
UPDATE jobforge_workers
SET
    last_heartbeat_at = ?2,
    lease_ms = ?5,
    lease_scales = ?6,
    granted_ms = max(?4, min((lease_expires_at - ?2 + 999) / 1000, granted_ms)),
    lease_expires_at = ?2 + 1000 * max(?4, min((lease_expires_at - ?2 + 999) / 1000, granted_ms)),
    state = CASE WHEN ?3 THEN 'draining' ELSE state END,
    stopped_at = NULL,
    suspect_at = NULL
WHERE id = ?1
RETURNING restart_at IS NOT NULL;
