"""Queries to a live database in addition to its dump, each with one JSON value as its result.

For PostgreSQL 12 to 18, and for a role that owns nothing.
"""

from __future__ import annotations

SURVEY = """
WITH mentioned AS (
  SELECT DISTINCT refobjid AS oid FROM pg_catalog.pg_shdepend
  WHERE refclassid = 'pg_catalog.pg_authid'::regclass
    AND dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
  UNION SELECT 10
  UNION SELECT oid FROM pg_catalog.pg_roles WHERE rolname IN (session_user, current_user)
), roles AS (
  SELECT r.* FROM pg_catalog.pg_roles r JOIN mentioned USING (oid) WHERE rolname !~ '^pg_'
), me AS (
  SELECT * FROM pg_catalog.pg_roles WHERE rolname = session_user
), here AS (
  SELECT * FROM pg_catalog.pg_database WHERE datname = current_database()
), settings AS (
  SELECT split_part(entry, '=', 1) AS name, substr(entry, strpos(entry, '=') + 1) AS value,
         row_number() OVER (ORDER BY setrole <> 0, setdatabase <> 0) AS rank
  FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS entry
  WHERE setdatabase IN (0, (SELECT oid FROM here)) AND setrole IN (0, (SELECT oid FROM me))
)
SELECT json_build_object(
  'role', session_user,
  'closed', (SELECT coalesce(json_agg(format('%I', nspname)), '[]')
    FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
      AND NOT has_schema_privilege(oid, 'USAGE')),
  'unread', (SELECT coalesce(json_agg(format('%I.%I', nspname, relname)), '[]')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND relkind IN ('r', 'p')
      AND has_schema_privilege(n.oid, 'USAGE')
      AND NOT has_table_privilege(c.oid, 'SELECT')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::regclass
                      AND objid = c.oid AND deptype = 'e')),
  'roles', (SELECT coalesce(json_agg(json_build_array(role, sql) ORDER BY step, sql), '[]') FROM (
    SELECT 1 AS step, rolname AS role, format(
      'DO $rescue$ BEGIN CREATE ROLE %I %s; EXCEPTION WHEN duplicate_object THEN NULL; END $rescue$', rolname,
      concat_ws(' ', CASE WHEN rolcanlogin THEN 'LOGIN' END,
                CASE WHEN rolsuper AND rolname = session_user THEN 'SUPERUSER' END,
                CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
                CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN NOT rolinherit THEN 'NOINHERIT' END)) AS sql
    FROM roles
    UNION ALL
    SELECT 2, m.rolname, format('GRANT %I TO %I%s', g.rolname, m.rolname,
                                CASE WHEN admin_option THEN ' WITH ADMIN OPTION' END)
    FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles g ON g.oid = a.roleid
      JOIN roles m ON m.oid = a.member
    WHERE g.rolname ~ '^pg_' OR g.oid IN (SELECT oid FROM roles)) AS made),
  'database', (SELECT format('OWNER %I ENCODING %L LC_COLLATE %L LC_CTYPE %L', pg_get_userbyid(datdba),
    pg_encoding_to_char(encoding), datcollate, datctype) FROM here),
  'settings', (SELECT coalesce(json_agg(sql), '[]') FROM (
    SELECT DISTINCT ON (name) format('ALTER DATABASE %%(database)s SET %I TO %s', name,
      CASE WHEN name IN ('search_path', 'temp_tablespaces') THEN coalesce(nullif(value, ''), '''''')
           ELSE quote_literal(value) END) AS sql
    FROM settings
    WHERE name NOT IN ('role', 'session_authorization', 'local_preload_libraries', 'session_preload_libraries',
                       'default_tablespace', 'temp_tablespaces', 'default_transaction_read_only',
                       'transaction_read_only')
    ORDER BY name, rank DESC) AS set),
  'wrappers', (SELECT coalesce(json_agg(sql ORDER BY step), '[]') FROM (
    SELECT 1 AS step, format(
      'DO $rescue$ BEGIN CREATE FOREIGN DATA WRAPPER %I NO HANDLER NO VALIDATOR; '
      'EXCEPTION WHEN duplicate_object THEN ALTER FOREIGN DATA WRAPPER %1$I NO HANDLER NO VALIDATOR; END $rescue$',
      fdwname) AS sql FROM pg_catalog.pg_foreign_data_wrapper
    UNION ALL
    SELECT 2, format('CREATE SERVER %I FOREIGN DATA WRAPPER %I', srvname, fdwname)
    FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
    UNION ALL
    SELECT 3, format('ALTER SERVER %I OWNER TO %I', srvname, pg_get_userbyid(srvowner))
    FROM pg_catalog.pg_foreign_server
    UNION ALL
    SELECT 4, 'DO $rescue$ DECLARE f regprocedure; BEGIN FOR f IN SELECT objid FROM pg_depend d JOIN pg_extension e '
      'ON e.oid = refobjid WHERE deptype = ''e'' AND classid = ''pg_proc''::regclass AND extname = ''dblink'' LOOP '
      'EXECUTE format(''REVOKE ALL ON FUNCTION %s FROM PUBLIC'', f); END LOOP; END $rescue$'
    FROM pg_catalog.pg_extension WHERE extname = 'dblink') AS made),
  'invalid', (SELECT coalesce(json_agg(format(
      '%s; UPDATE pg_catalog.pg_index SET indisvalid = false, indisready = %L WHERE indexrelid = %L::regclass',
      pg_get_indexdef(indexrelid), indisready, format('%I.%I', nspname, relname)) ORDER BY nspname, relname), '[]')
    FROM pg_catalog.pg_index JOIN pg_catalog.pg_class c ON c.oid = indexrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
    WHERE NOT indisvalid AND relkind = 'i' AND nspname !~ '^pg_'),
  'after', (SELECT coalesce(json_agg(sql), '[]') FROM (
    SELECT format('DO $rescue$ BEGIN IF NOT has_schema_privilege(%L, %L, %L) THEN '
                  'GRANT %3$s ON SCHEMA %2$I TO %1$I; END IF; END $rescue$',
                  session_user, nspname, privilege) AS sql
    FROM pg_catalog.pg_namespace, unnest(ARRAY['CREATE', 'USAGE']) AS privilege
    WHERE nspname = 'public' AND has_schema_privilege(oid, privilege) AND NOT (SELECT rolsuper FROM me)
    UNION ALL
    SELECT format('GRANT CREATE ON DATABASE %%(database)s TO %I', session_user)
    FROM here WHERE has_database_privilege(oid, 'CREATE') AND NOT (SELECT rolsuper FROM me)) AS granted))
"""
"""Roles, settings, wrappers, invalid indexes and privileges, as SQL that creates them; and what the role cannot read.

The role remains a superuser if it is one: what it runs may require that.  No other role becomes one.
"""

LOCKED = """
WITH RECURSIVE held AS (
  SELECT coalesce(indrelid, relation) AS oid, min(pid) AS pid
  FROM pg_catalog.pg_locks LEFT JOIN pg_catalog.pg_index ON indexrelid = relation
  WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND pid <> pg_backend_pid() AND relation >= 16384
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  GROUP BY 1
), followers AS (
  SELECT refobjid AS oid, coalesce(ev_class, objid) AS follower  -- views, and sequences that belong to a column
  FROM pg_catalog.pg_depend LEFT JOIN pg_catalog.pg_rewrite r ON r.oid = objid
    AND classid = 'pg_catalog.pg_rewrite'::regclass
  WHERE refclassid = 'pg_catalog.pg_class'::regclass AND refobjid >= 16384
    AND (ev_class IS NOT NULL
         OR classid = 'pg_catalog.pg_class'::regclass AND refobjsubid > 0 AND deptype IN ('a', 'i'))
  UNION
  SELECT inhparent, inhrelid FROM pg_catalog.pg_inherits
), hidden AS (
  SELECT oid, pid FROM held
  UNION
  SELECT follower, pid FROM hidden JOIN followers USING (oid)
)
SELECT coalesce(json_object_agg(format('%I.%I', nspname, relname), pid), '{}')
FROM hidden JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
WHERE nspname !~ '^pg_' AND relkind NOT IN ('i', 'I')
"""
"""The tables that other sessions lock, or wait to lock, exclusively, with the process id of one of them; and what
pg_dump cannot read without those tables: their views, sequences, partitions and child tables."""
