-- Puts back what restored_out.sql set aside. Jobs come first, because the others refer to them; what was running when the
-- dump was made is queued again, its old attempt on record.
DO $$
DECLARE
  kept record;
  columns text;
BEGIN
  FOR kept IN
    SELECT name FROM jobforge_restored WHERE to_regclass(name) IS NOT NULL ORDER BY name <> 'jobforge_jobs', name
  LOOP
    SELECT string_agg(quote_ident(a.attname), ', ')
    INTO columns
    FROM pg_attribute a
    JOIN pg_attribute b ON b.attrelid = ('pg_temp.restored_' || kept.name)::regclass AND b.attname = a.attname AND NOT b.attisdropped
    WHERE a.attrelid = kept.name::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '';
    EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM pg_temp.%I ON CONFLICT DO NOTHING', kept.name, columns, columns, 'restored_' || kept.name);
  END LOOP;
  UPDATE jobforge_jobs SET status = 'queued', locked_by = NULL, locked_at = NULL, run_at = now() WHERE status = 'running';
END $$;
