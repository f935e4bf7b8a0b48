-- Takes one MiB of the disk on which the database lies and gives it back; fails with 53100 where there is none. No more, so that
-- asking takes nothing from the server that it may need at the same moment. Leaves nothing, and needs no right to write.
--
-- What is made goes to the disk once it is larger than work_mem.
WITH room AS MATERIALIZED (
  SELECT repeat('x', 8192) AS part
  FROM generate_series(1, 128)
)
SELECT sum(length(part)) AS bytes
FROM room
