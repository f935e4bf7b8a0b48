-- The database's clock in microseconds, at the milliseconds that SQLite knows.
-- Rounded because the seconds come as a float.
SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000;
