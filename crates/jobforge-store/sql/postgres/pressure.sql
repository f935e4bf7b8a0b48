-- How busy the server is: connections of programs, how many it takes from those who are no superusers, how long the oldest
-- transaction of this database has been open, and how many sessions wait for a lock. Reads the server's list of sessions;
-- what others do is hidden from some roles, and counts as nothing then.
SELECT count(*) AS connections,
       greatest(current_setting('max_connections')::bigint
                - current_setting('superuser_reserved_connections')::bigint
                - coalesce(current_setting('reserved_connections', true)::bigint, 0), 1) AS max_connections,
       coalesce(max(extract(epoch FROM clock_timestamp() - xact_start) * 1000)
                FILTER (WHERE datname = current_database() AND pid <> pg_backend_pid()), 0)::bigint AS oldest_ms,
       count(*) FILTER (WHERE datname = current_database() AND wait_event_type = 'Lock') AS blocked
FROM pg_stat_activity
WHERE backend_type = 'client backend'
