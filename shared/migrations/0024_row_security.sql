-- Who may see which rows is decided here and not in the statements: one that forgets its WHERE finds
-- nothing. Processes act under one of three roles, none of which owns a table or may log in:
--   memoire_app       the rows of the tenants that a transaction names in `memoire.tenants`, no others
--   memoire_operator  every row: sweeps, maintenance, commands
--   memoire_gate      what must be known before a tenant is: keys, limits, counts, digests of who was
--                     erased; nobody's words

-- Names whose rows a transaction may touch. No setting, and what a transaction leaves of one behind it:
-- nobody's.
CREATE FUNCTION memoire_tenants() RETURNS text[] LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('memoire.tenants', true), '')::text[];

-- Says what keeps a role from being used by whoever asks, or to be relied on; null: nothing.
CREATE FUNCTION memoire_role_gap(role_name text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    role pg_roles;
BEGIN
    SELECT * INTO role FROM pg_roles WHERE rolname = role_name;
    IF role IS NULL THEN
        RETURN format('there is no role %s', role_name);
    ELSIF role.rolsuper OR role.rolbypassrls THEN
        RETURN format('the role %s bypasses row-level security', role_name);
    ELSIF NOT pg_has_role(session_user, role.oid, 'SET') THEN
        RETURN format('%s may not SET ROLE %s', session_user, role_name);
    END IF;
    SELECT r.rolname INTO role_name FROM pg_roles r
     WHERE pg_has_role(role.oid, r.oid, 'MEMBER') AND r.oid <> role.oid
       AND r.rolname <> 'pg_read_all_stats'
     LIMIT 1;
    IF FOUND THEN
        RETURN format('the role %s is a member of %s', role.rolname, role_name);
    END IF;
    SELECT c.relname INTO role_name FROM pg_class c
     WHERE c.relowner = role.oid AND c.relnamespace = current_schema()::regnamespace
     LIMIT 1;
    IF FOUND THEN
        RETURN format('the role %s owns %s', role.rolname, role_name);
    END IF;
    RETURN NULL;
END $$;

-- Says which table of tenants' rows is not closed to who names no tenant; null: none.
CREATE FUNCTION memoire_open_table() RETURNS text LANGUAGE sql STABLE AS $$
SELECT quote_ident(c.relname)
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT (c.relrowsecurity AND c.relforcerowsecurity
            AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'of_tenants')
            AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'of_operators'))
 ORDER BY c.relname
 LIMIT 1
$$;

-- Makes the roles where that is allowed and needed, and lets who migrates act under them: as the tables'
-- owner it is bound by their policies too, and sees them through memoire_operator.
CREATE FUNCTION memoire_make_roles() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['memoire_app', 'memoire_operator', 'memoire_gate'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION
                WHEN insufficient_privilege THEN RETURN;
                WHEN duplicate_object OR unique_violation THEN NULL;  -- another database's migration was first
            END;
        END IF;
        IF NOT pg_has_role(current_user, role_name, 'SET')
           OR NOT pg_has_role(current_user, role_name, 'USAGE') THEN
            BEGIN
                EXECUTE format('GRANT %I TO %I WITH INHERIT TRUE, SET TRUE', role_name, current_user);
            EXCEPTION WHEN insufficient_privilege THEN RETURN;
            END;
        END IF;
    END LOOP;
    IF NOT pg_has_role('memoire_operator', 'pg_read_all_stats', 'USAGE') THEN
        BEGIN  -- how many connections there are, and how long transactions last; no rows
            GRANT pg_read_all_stats TO memoire_operator;
        EXCEPTION WHEN insufficient_privilege THEN NULL;  -- then those two metrics see less
        END;
    END IF;
END $$;

-- Closes a table: the named tenants' rows for memoire_app, all for memoire_operator, for its owner too.
-- The tenants are an initplan, read once a statement. The CASE keeps plans what they are: as a plain
-- condition it would be taken for a key, by which a statement planned on small tables reads all of a tenant.
CREATE FUNCTION memoire_close_table(closed regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', closed);
    EXECUTE format('DROP POLICY IF EXISTS of_tenants ON %s', closed);
    EXECUTE format('DROP POLICY IF EXISTS of_operators ON %s', closed);
    EXECUTE format('CREATE POLICY of_tenants ON %s TO memoire_app '
                   'USING (CASE WHEN tenant_id = ANY ((SELECT memoire_tenants())::text[]) '
                   'THEN true ELSE false END)', closed);
    EXECUTE format('CREATE POLICY of_operators ON %s TO memoire_operator USING (true)', closed);
END $$;

-- Opens to memoire_gate what a gateway must know before it knows a tenant, column by column.
CREATE FUNCTION memoire_open_gate() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    opened text;
BEGIN
    GRANT SELECT (id, tenant_id, name, scope, user_id, secret_sha256, expires_at, revoked_at, last_used_at),
          UPDATE (last_used_at) ON api_keys TO memoire_gate;
    GRANT SELECT (tenant_id, requests_per_minute, key_requests_per_minute, messages_per_day, facts_per_day)
          ON tenant_limits TO memoire_gate;
    GRANT SELECT (tenant_id, tokens_per_day, money_per_day) ON budgets TO memoire_gate;
    GRANT SELECT (tenant_id, day, refused_at) ON budget_days TO memoire_gate;
    GRANT SELECT (stage, dead_at, dropped_at) ON failures TO memoire_gate;
    GRANT SELECT (tenant_id, user_sha256, scope, requested_at) ON erasures TO memoire_gate;
    GRANT SELECT ON provider_pauses TO memoire_gate;
    FOREACH opened IN ARRAY ARRAY['api_keys', 'tenant_limits', 'budgets', 'budget_days', 'failures', 'erasures'] LOOP
        IF NOT EXISTS (SELECT FROM pg_policy
                        WHERE polrelid = opened::regclass AND polname = 'of_gate') THEN
            EXECUTE format('CREATE POLICY of_gate ON %I FOR SELECT TO memoire_gate USING (true)', opened);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_policy
                    WHERE polrelid = 'api_keys'::regclass AND polname = 'of_gate_noting') THEN
        CREATE POLICY of_gate_noting ON api_keys FOR UPDATE TO memoire_gate USING (true);
    END IF;
END $$;

-- Does all of it, for every table there is by now, and says what is still missing; null: nothing. Run at
-- the end of every migration, so that a table made later is closed as well. Where it has been done it
-- locks no table.
CREATE FUNCTION memoire_isolate() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    role_name text;
    gap       text;
    found     record;
BEGIN
    PERFORM memoire_make_roles();
    FOREACH role_name IN ARRAY ARRAY['memoire_app', 'memoire_operator', 'memoire_gate'] LOOP
        gap := memoire_role_gap(role_name);
        IF gap IS NOT NULL THEN
            RETURN gap;
        END IF;
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO memoire_app, memoire_operator, memoire_gate',
                   current_schema());
    FOR found IN
        SELECT c.oid::regclass AS named, c.oid FROM pg_class c
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
           AND c.relname <> 'schema_migrations'
           AND NOT (has_table_privilege('memoire_app', c.oid, 'DELETE')
                    AND has_table_privilege('memoire_operator', c.oid, 'DELETE'))
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO memoire_app, memoire_operator',
                       found.named);
    END LOOP;
    GRANT SELECT ON schema_migrations TO memoire_app, memoire_operator;
    WHILE memoire_open_table() IS NOT NULL LOOP
        PERFORM memoire_close_table(memoire_open_table()::regclass);
    END LOOP;
    PERFORM memoire_open_gate();
    RETURN NULL;
END $$;
