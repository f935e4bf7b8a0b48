-- How far a run over users goes: to the last one that there is now.
SELECT coalesce(max(id), 0) AS until, now() AS as_of
FROM app.users
