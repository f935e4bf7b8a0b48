-- The workers whose session lock is held: the second key is their number.
--
-- $1 the first key, which marks our locks.
SELECT 'worker-' || lpad(to_hex(l.objid::bigint), 8, '0')
FROM pg_locks l
WHERE l.locktype = 'advisory' AND l.classid::bigint = $1 AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
