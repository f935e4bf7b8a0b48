-- Sets aside what a dump without functions brought back, before the schema is made: the tables are here, but nothing that
-- keeps them right. Columns that the new schema does not have are left behind.
DO $$
DECLARE
  kept record;
BEGIN
  CREATE TEMP TABLE jobforge_restored (name text PRIMARY KEY) ON COMMIT DROP;
  FOR kept IN
    SELECT c.oid::regclass AS full_name, c.relname
    FROM pg_class c
    WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'jobforge_jobs'::regclass)
      AND c.relkind = 'r' AND c.relname LIKE 'jobforge\_%'
  LOOP
    -- Side tables are filled anew from the jobs.
    IF kept.relname NOT IN ('jobforge_migrations', 'jobforge_ready', 'jobforge_scheduled', 'jobforge_kinds', 'jobforge_listed', 'jobforge_tagged') THEN
      EXECUTE format('CREATE TEMP TABLE %I ON COMMIT DROP AS TABLE %s', 'restored_' || kept.relname, kept.full_name);
      INSERT INTO jobforge_restored VALUES (kept.relname);
    END IF;
    IF kept.relname = 'jobforge_migrations' THEN
      DELETE FROM jobforge_migrations;
    ELSE
      EXECUTE format('DROP TABLE %s CASCADE', kept.full_name);
    END IF;
  END LOOP;
END $$;
