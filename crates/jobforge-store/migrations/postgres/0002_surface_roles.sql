-- The SQL surface, last part: row security and roles. Owners bypass row security, so the product's own connections pay
-- nothing.

CREATE POLICY jobforge_tenant ON jobforge_jobs FOR SELECT USING (tenant_id = (SELECT jobforge_tenant()));
CREATE POLICY jobforge_tenant ON jobforge_job_results FOR SELECT USING (tenant_id = (SELECT jobforge_tenant()));
CREATE POLICY jobforge_tenant ON jobforge_job_attempts FOR SELECT USING (tenant_id = (SELECT jobforge_tenant()));
CREATE POLICY jobforge_tenant ON jobforge_connector_configs FOR SELECT USING (tenant_id = (SELECT jobforge_tenant()));
CREATE POLICY jobforge_tenant ON jobforge_job_logs FOR SELECT
  USING (EXISTS (SELECT FROM jobforge_jobs j WHERE j.id = job_id AND j.tenant_id = (SELECT jobforge_tenant())));

CREATE POLICY jobforge_tenant ON jobforge_job_progress FOR SELECT
  USING (EXISTS (SELECT FROM jobforge_jobs j WHERE j.id = job_id AND j.tenant_id = (SELECT jobforge_tenant())));

-- Closes every table of JobForge to all but trusted roles, those of later migrations too. Pins the names that functions see
-- which act with the owner's rights, and those of triggers, for pg_restore works without a search path. The program calls
-- it after every migration.
CREATE FUNCTION jobforge_close() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  home regnamespace := (SELECT relnamespace FROM pg_class WHERE oid = 'jobforge_jobs'::regclass);
  item record;
BEGIN
  FOR item IN
    SELECT c.oid::regclass AS name, c.relrowsecurity AS closed,
           EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'jobforge_service') AS served
    FROM pg_class c
    WHERE c.relnamespace = home AND c.relkind IN ('r', 'p') AND c.relname LIKE 'jobforge\_%'
  LOOP
    IF NOT item.closed THEN
      EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', item.name);
    END IF;
    IF NOT item.served THEN
      EXECUTE format('CREATE POLICY jobforge_service ON %s USING ((SELECT jobforge_is_trusted(current_user))) '
                     'WITH CHECK ((SELECT jobforge_is_trusted(current_user)))', item.name);
    END IF;
  END LOOP;
  FOR item IN
    SELECT p.oid::regprocedure AS name,
           -- What policies, views and defaults call is for everybody.
           p.proname IN ('jobforge_tenant', 'jobforge_is_trusted', 'jobforge_now') AS is_open,
           p.prosecdef OR p.prorettype = 'trigger'::regtype OR p.proname IN ('jobforge_is_trusted', 'jobforge_close', 'jobforge_grant') AS is_pinned
    FROM pg_proc p
    WHERE p.pronamespace = home AND p.proname LIKE 'jobforge\_%'
  LOOP
    IF item.is_pinned THEN
      EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %s, pg_temp', item.name, home);
    END IF;
    IF NOT item.is_open THEN
      EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', item.name);
    END IF;
  END LOOP;
END $$;

-- Makes the three roles where this user may, and gives each what it needs; says in words what it did or could not do.
CREATE FUNCTION jobforge_grant() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  home regnamespace := (SELECT relnamespace FROM pg_class WHERE oid = 'jobforge_jobs'::regclass);
  may_create boolean := (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user);
  readable CONSTANT text[] := ARRAY['jobforge_jobs', 'jobforge_job_results', 'jobforge_job_attempts', 'jobforge_job_logs',
                                    'jobforge_job_progress', 'jobforge_connector_configs'];
  runbook_views CONSTANT text[] := ARRAY['qc_jobs', 'executions', 'worker_heartbeats', 'job_dlq'];
  who text;
  item record;
BEGIN
  FOREACH who IN ARRAY ARRAY['jobforge_app', 'jobforge_readonly', 'jobforge_service'] LOOP
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = who) THEN
      CONTINUE;
    ELSIF may_create THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', who);
        RETURN NEXT format('created role %s', who);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- Another program was faster.
      END;
    ELSE
      RETURN NEXT format('role %s does not exist and %s may not create roles: have it made by CREATE ROLE %s NOLOGIN, then run `jobforge db grant`',
                         who, current_user, who);
    END IF;
  END LOOP;
  -- Hosts with PostgREST give web roles every new table and function; nothing here is for them.
  FOR who IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
    FOR item IN
      SELECT format('TABLE %s', oid::regclass) AS what FROM pg_class
      WHERE relnamespace = home AND relkind IN ('r', 'p', 'v') AND (relname LIKE 'jobforge\_%' OR obj_description(oid, 'pg_class') LIKE 'JobForge %')
      UNION ALL
      SELECT format('FUNCTION %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = home AND proname LIKE 'jobforge\_%'
    LOOP
      EXECUTE format('REVOKE ALL ON %s FROM %I', item.what, who);
    END LOOP;
  END LOOP;
  FOR who IN SELECT rolname FROM pg_roles WHERE rolname IN ('jobforge_app', 'jobforge_readonly', 'jobforge_service') LOOP
    BEGIN
      EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', home, who);
    EXCEPTION WHEN insufficient_privilege THEN
      RETURN NEXT format('%s may not GRANT USAGE ON SCHEMA %s TO %s: have its owner do so', current_user, home, who);
    END;
    FOR item IN
      SELECT c.oid::regclass AS name, c.relname, c.relkind
      FROM pg_class c
      WHERE c.relnamespace = home
        AND ((c.relkind IN ('r', 'p') AND c.relname LIKE 'jobforge\_%')
          OR (c.relkind = 'v' AND c.relname = ANY (runbook_views) AND obj_description(c.oid, 'pg_class') LIKE 'JobForge %'))
    LOOP
      IF item.relkind = 'v' OR item.relname = 'jobforge_migrations' OR who <> 'jobforge_service' THEN
        IF who = 'jobforge_service' OR item.relkind = 'v' OR item.relname = ANY (readable) THEN
          EXECUTE format('GRANT SELECT ON %s TO %I', item.name, who);
        END IF;
      ELSE
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', item.name, who);
      END IF;
    END LOOP;
    FOR item IN
      SELECT oid::regprocedure AS name FROM pg_proc
      WHERE pronamespace = home AND proname LIKE 'jobforge\_%'
        AND (who = 'jobforge_service' OR (prosecdef AND (who <> 'jobforge_readonly' OR proname = 'jobforge_list_jobs')))
    LOOP
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', item.name, who);
    END LOOP;
  END LOOP;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'jobforge_service') THEN
    BEGIN
      GRANT jobforge_service TO service_role;
    EXCEPTION WHEN insufficient_privilege THEN
      RETURN NEXT format('%s may not GRANT jobforge_service TO service_role: have it done by whoever made the role', current_user);
    END;
  END IF;
END $$;
