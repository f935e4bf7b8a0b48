-- The tables of JobForge, with what each takes together with its indexes. Reads the catalogue.
SELECT c.relname::text AS part, pg_total_relation_size(c.oid) AS bytes
FROM pg_class c
WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('jobforge_jobs'))
  AND c.relkind = 'r' AND c.relname LIKE 'jobforge\_%'
ORDER BY 1
