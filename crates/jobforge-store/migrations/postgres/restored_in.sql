-- Puts back what restored_out.sql set aside, in the place of what a new schema begins with. Jobs and schedules come first,
-- because others refer to them. Whoever ran jobs where the dump was made loses them by begin_anew.sql, which follows.
DO $$
DECLARE
  kept record;
  columns text;
BEGIN
  FOR kept IN
    SELECT name FROM jobforge_restored WHERE to_regclass(name) IS NOT NULL ORDER BY name NOT IN ('jobforge_jobs', 'jobforge_schedules'), name
  LOOP
    SELECT string_agg(quote_ident(a.attname), ', ')
    INTO columns
    FROM pg_attribute a
    JOIN pg_attribute b ON b.attrelid = ('pg_temp.restored_' || kept.name)::regclass AND b.attname = a.attname AND NOT b.attisdropped
    WHERE a.attrelid = kept.name::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '' AND a.attgenerated = '';
    EXECUTE format('DELETE FROM %I', kept.name);
    EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM pg_temp.%I ON CONFLICT DO NOTHING', kept.name, columns, columns, 'restored_' || kept.name);
  END LOOP;
END $$;
