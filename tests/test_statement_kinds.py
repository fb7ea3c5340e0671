"""What a statement does, by its text: DATA before CATALOG before SESSION before QUERY."""

from __future__ import annotations

import pytest

from alembic_rescue.dialects.postgresql.statements import kind_of, parts
from alembic_rescue.evidence.observation import StatementKind

QUERY, SESSION, CATALOG, DATA = StatementKind
KINDS = {
    QUERY: [
        "",
        "-- nothing",
        "SELECT 1",
        "select count(*) from t where a in (1, 2) and exists (select 1)",
        "(SELECT 1) UNION (SELECT 2)",
        "WITH x (a) AS (SELECT 1) SELECT * FROM x",
        "SELECT 'INSERT INTO t VALUES (1)'",
        "SELECT $$; DELETE FROM t$$",
        "SELECT 1 -- ; DROP TABLE t",
        "SELECT /* outer /* inner */ ; DROP TABLE t */ 1",
        "SELECT id FROM t FOR UPDATE",
        "SELECT a::varchar(20), CAST(b AS numeric(10, 2)) FROM t",
        "SELECT pg_catalog.pg_get_indexdef(1), to_regclass('t'), has_table_privilege('t', 'select')",
        "SELECT pg_advisory_xact_lock(1)",
        "EXPLAIN INSERT INTO t VALUES (1)",
        "EXPLAIN (ANALYZE) SELECT 1",
        "SHOW search_path",
        "DO $$ BEGIN PERFORM 1; RAISE NOTICE 'DELETE FROM t'; END $$",
        "VALUES (1), (2)",
        "TABLE t",
    ],
    SESSION: [
        "SET LOCAL lock_timeout = '5s'",
        "SAVEPOINT a; RELEASE SAVEPOINT a",
        "LOCK TABLE t IN EXCLUSIVE MODE",
        "CREATE TEMP TABLE x (a int)",
        "CREATE TEMPORARY TABLE x AS SELECT * FROM t",
        "SELECT 1 INTO TEMP x",
        "PREPARE p AS SELECT 1",
    ],
    CATALOG: [
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, a int, b int GENERATED ALWAYS AS (a * 2) STORED)",
        "CREATE TABLE t (id int DEFAULT nextval('s'), v varchar(20))",
        "CREATE TABLE t AS SELECT * FROM u",
        "SELECT * INTO t FROM u",
        "CREATE MATERIALIZED VIEW m AS SELECT lower(a) FROM t",
        "create /* a table */ index concurrently ix on t (lower(a))",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM t'",
        "CREATE FUNCTION f() RETURNS void AS $x$ BEGIN DELETE FROM t; CALL p(); END $x$ LANGUAGE plpgsql",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM t; SELECT 1; END",
        "CREATE RULE r AS ON DELETE TO t DO ALSO (DELETE FROM u; DELETE FROM v)",
        "CREATE TRIGGER x BEFORE INSERT OR UPDATE OR DELETE ON t EXECUTE FUNCTION f()",
        "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u ON DELETE CASCADE ON UPDATE SET NULL",
        "ALTER TABLE t ALTER a TYPE int USING a::integer",
        "ALTER TABLE t ALTER a TYPE mood USING a::text::mood, ALTER b TYPE int USING (b)::int",
        "GRANT SELECT, INSERT, UPDATE ON t TO public",
        "COMMENT ON TABLE t IS 'UPDATE me'",
        "DROP TABLE t; CREATE TABLE t (a int)",
        "SET search_path TO x; CREATE TABLE t (a int)",
        "DO $$ BEGIN CREATE TYPE m AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN null; END $$",
        (
            "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'm') THEN "
            "CREATE TYPE m AS ENUM ('a', 'b'); END IF; END $$"
        ),
        (
            "DO $$ DECLARE r record; BEGIN FOR r IN SELECT column_name FROM information_schema.columns LOOP"
            " EXECUTE format('ALTER TABLE t DROP COLUMN %I', r.column_name); END LOOP; END $$"
        ),
        "DO $$ BEGIN EXECUTE 'DROP TABLE ' || quote_ident('t'); END $$",
        "ALTER DATABASE d SET timezone = 'UTC'",
        "CREATE ROLE r",
    ],
    DATA: [
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = 1",
        "with x as (insert into t values (1) returning id) select * from x",
        "WITH x AS (SELECT 1) UPDATE t SET a = 1",
        "DELETE FROM t",
        "TRUNCATE t",
        "COPY t FROM stdin",
        "CALL p()",
        "REFRESH MATERIALIZED VIEW m",
        "VACUUM t",
        "EXPLAIN ANALYZE DELETE FROM t",
        "EXPLAIN (COSTS off, ANALYZE) DELETE FROM t",
        "SELECT setval('s', 60)",
        "SELECT nextval('s')",
        "SELECT lo_create(1)",
        "GRANT SELECT ON LARGE OBJECT 1 TO app",
        "COMMENT ON LARGE OBJECT 1 IS 'x'",
        "SELECT dblink_exec('c', 'DELETE FROM t')",
        "SELECT query_to_xml('DELETE FROM t RETURNING 1', true, true, '')",
        "SELECT something('x')",
        'SELECT "Something"(1)',
        "SET search_path TO public; SELECT setval('s', 60)",
        "CREATE TABLE IF NOT EXISTS t AS SELECT * FROM u",
        "CREATE TABLE t AS WITH x AS (DELETE FROM u RETURNING *) SELECT * FROM x",
        "CREATE TABLE t AS SELECT something(a) FROM u",
        "ALTER TABLE t ALTER a TYPE varchar(50) USING lower(a)",
        "ALTER TABLE t ALTER a TYPE int USING a::int + 1",
        "ALTER TABLE t ALTER a TYPE int USING CASE WHEN a = 'x' THEN 1 END",
        "ALTER TABLE t ALTER a TYPE int USING 0",
        "ALTER SEQUENCE s RESTART WITH 5",
        "ALTER ROLE r PASSWORD 'x'",
        "CREATE DATABASE d",
        "DO $$ DECLARE x int; BEGIN INSERT INTO u(id) VALUES (9) RETURNING id INTO x; END $$",
        "DO $$ BEGIN CALL pr(); END $$",
        "DO $$ BEGIN PERFORM pr(); END $$",
        "DO $$ DECLARE x int := pr(); BEGIN END $$",
        "DO $$ BEGIN EXECUTE sql_of('x'); END $$",
        "DO $$ BEGIN EXECUTE 'UPDATE t SET a = 1'; END $$",
        "DO $$ BEGIN IF true THEN UPDATE t SET a = CASE WHEN b THEN 1 ELSE 2 END; END IF; END $$",
        "DO LANGUAGE plpython3u $$ plpy.execute('x') $$",
        "frobnicate the database",
        "NOTIFY c",
    ],
}


@pytest.mark.parametrize(("kind", "sql"), [(kind, sql) for kind, texts in KINDS.items() for sql in texts])
def test_the_kind_is_that_of_the_strongest_statement(kind, sql):
    assert kind_of(sql) is kind


def test_names_that_the_text_does_not_explain_are_returned():
    (part,) = parts('SELECT "F"(1), app.g(lower(a)), count(*) FROM t')
    assert part.kind is QUERY
    assert part.calls == {"F", "g"}


@pytest.mark.parametrize("sql", ["SELECT 'open", 'SELECT "open', "SELECT $x$ open", "SELECT /* open", "((((", "))))"])
def test_an_unclosed_construct_ends_with_the_text(sql):
    assert kind_of(sql) in set(StatementKind)
