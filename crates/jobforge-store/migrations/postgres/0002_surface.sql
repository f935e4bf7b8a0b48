-- The SQL surface: what other programs may call with nothing but a PostgreSQL driver, and who sees what.
--
-- A role that owns the tables, may bypass row security or is a member of jobforge_service is trusted: it sees every
-- tenant. Everybody else acts for one tenant, which jobforge_tenant() tells, and without one sees and may do nothing.
-- Refusals carry a SQLSTATE of their own, a stable word as DETAIL and the way out as HINT:
-- JF400 bad input, JF403 not for this tenant, JF404 no such job or worker, JF409 it is not in the state for that.

CREATE TABLE jobforge_connector_configs (
  id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  tenant_id       text        NOT NULL CHECK (tenant_id <> ''),
  connector_type  text        NOT NULL CHECK (connector_type <> ''),
  config          jsonb       NOT NULL DEFAULT '{}',
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT jobforge_connector_configs_unique UNIQUE (tenant_id, connector_type)
);

CREATE FUNCTION jobforge_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := jobforge_now();
  RETURN NEW;
END $$;

CREATE TRIGGER jobforge_connector_configs_touched BEFORE UPDATE ON jobforge_connector_configs
  FOR EACH ROW EXECUTE FUNCTION jobforge_touch();

CREATE FUNCTION jobforge_fail(state text, word text, message text, hint text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = 'code: ' || word, HINT = hint;
END $$;

-- The role that called, also within functions that run as their owner.
CREATE FUNCTION jobforge_caller() RETURNS name LANGUAGE sql STABLE AS $$
  SELECT CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role')::name END
$$;

-- Whether a role sees every tenant.
CREATE FUNCTION jobforge_is_trusted(who name) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT
    FROM pg_roles r
    WHERE r.rolname = who
      AND (r.rolsuper
        OR r.rolbypassrls
        OR pg_has_role(r.oid, (SELECT relowner FROM pg_class WHERE oid = 'jobforge_jobs'::regclass), 'USAGE')
        OR EXISTS (SELECT FROM pg_roles s WHERE s.rolname = 'jobforge_service' AND pg_has_role(r.oid, s.oid, 'USAGE')))
  )
$$;

-- The tenant that the caller acts for, or null. Where a signed web token came with the request (PostgREST), the token
-- alone decides, for a setting could be anybody's.
CREATE FUNCTION jobforge_tenant() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT nullif(CASE
    WHEN coalesce(current_setting('request.jwt.claims', true), '') <> '' THEN coalesce(
      current_setting('request.jwt.claims', true)::jsonb ->> 'tenant_id',
      current_setting('request.jwt.claims', true)::jsonb -> 'app_metadata' ->> 'tenant_id')
    ELSE coalesce(nullif(current_setting('jobforge.tenant', true), ''), current_setting('app.tenant_id', true))
  END, '')
$$;

-- The tenant that a caller is kept to: null for a trusted one. Refuses a caller that has none.
CREATE FUNCTION jobforge_bound() RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  tenant text := jobforge_tenant();
BEGIN
  IF jobforge_is_trusted(jobforge_caller()) THEN
    RETURN NULL;
  END IF;
  IF tenant IS NULL THEN
    PERFORM jobforge_fail('JF403', 'tenant_missing', format('role %s acts for no tenant', jobforge_caller()),
      'SET LOCAL jobforge.tenant = ''…'' at the start of the transaction, or call as a member of jobforge_service');
  END IF;
  IF coalesce(current_setting('jobforge.now', true), '') <> '' THEN
    PERFORM jobforge_fail('JF403', 'clock_fixed', 'jobforge.now is for tests only', 'RESET jobforge.now');
  END IF;
  RETURN tenant;
END $$;

-- Refuses a tenant that is no name, or not the caller's.
CREATE FUNCTION jobforge_check_tenant(tenant text) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
  bound text := jobforge_bound();
BEGIN
  PERFORM jobforge_check_name('p_tenant_id', tenant);
  IF tenant <> bound THEN
    PERFORM jobforge_fail('JF403', 'tenant_mismatch', format('role %s acts for tenant %s, not for %s', jobforge_caller(), bound, tenant),
      'name the tenant of jobforge.tenant, or call as a member of jobforge_service');
  END IF;
END $$;

CREATE FUNCTION jobforge_check_name(field text, name text) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF name IS NULL OR name !~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$' THEN
    PERFORM jobforge_fail('JF400', 'bad_name', format('%s is %s, which is no usable name', field, coalesce(quote_literal(left(name, 60)), 'missing')),
      'use 1 to 128 of the characters a-z A-Z 0-9 . _ : - and begin with a letter or digit');
  END IF;
END $$;

-- Refuses a list that is no plain list of names: a null or rows within it could not be read back by workers.
CREATE FUNCTION jobforge_check_names(field text, names text[], most bigint) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  name text;
BEGIN
  PERFORM jobforge_check_range('the number of ' || field, cardinality(names), 1, most);
  IF array_ndims(names) > 1 THEN
    PERFORM jobforge_fail('JF400', 'wrong_type', format('%s is a list of lists', field), 'pass a plain list, such as ARRAY[''a'', ''b'']');
  END IF;
  FOREACH name IN ARRAY names LOOP
    PERFORM jobforge_check_name(field, name);
  END LOOP;
END $$;

CREATE FUNCTION jobforge_check_range(field text, value bigint, lowest bigint, highest bigint) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF value IS NULL OR value NOT BETWEEN lowest AND highest THEN
    PERFORM jobforge_fail('JF400', 'out_of_range', format('%s is %s', field, coalesce(value::text, 'missing')),
      format('allowed is %s to %s', lowest, highest));
  END IF;
END $$;

CREATE FUNCTION jobforge_not_found(job uuid) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  PERFORM jobforge_fail('JF404', 'job_not_found', format('job %s not found', coalesce(job::text, '(null)')),
    'jobforge_list_jobs(tenant) lists a tenant''s jobs; another tenant''s job counts as missing');
END $$;
