"""Each definition against each other one of its kind: equal facts if they are the same, and only then."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from alembic_rescue.dialects.postgresql.catalog import READER
from tests.conftest import fresh_database

BASE = """
CREATE TABLE t (id int PRIMARY KEY, a int, b int, c text, d date, v varchar(20),
  j jsonb, arr text[], ts timestamptz, n numeric);
CREATE TABLE other (id int PRIMARY KEY, a int UNIQUE, b int, UNIQUE (a, b));
CREATE SCHEMA s;
CREATE TABLE s.t (id int PRIMARY KEY);
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION f2() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
CREATE FUNCTION minus(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 - $2';
CREATE TABLE p (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parent (id int, a int);
CREATE FOREIGN DATA WRAPPER w;
CREATE SERVER srv FOREIGN DATA WRAPPER w;
"""

VIEWS = [
    ("SELECT id, a FROM t WHERE a > 18", "SELECT t.id, t.a FROM public.t WHERE (a > 18)"),
    "SELECT id, a FROM t WHERE a > 21",
    "SELECT id, a FROM t WHERE a < 18",
    "SELECT id, a FROM t WHERE a >= 18",
    "SELECT id, b AS a FROM t WHERE a > 18",
    "SELECT id, a FROM t",
    "SELECT DISTINCT id, a FROM t",
    "SELECT id, a FROM t ORDER BY a",
    "SELECT id, a FROM t ORDER BY a DESC",
    "SELECT id, a FROM t LIMIT 1",
    "SELECT id, a FROM other",
    "SELECT id, NULL::int AS a FROM s.t",
    "SELECT t.id, o.a FROM t JOIN other o ON o.id = t.id",
    "SELECT t.id, o.a FROM t LEFT JOIN other o ON o.id = t.id",
    "SELECT t.id, o.a FROM t LEFT JOIN other o ON o.id = t.a",
    "SELECT max(id) AS id, a FROM t GROUP BY a",
    "SELECT min(id) AS id, a FROM t GROUP BY a",
    "SELECT max(id) AS id, a FROM t GROUP BY a HAVING count(*) > 1",
    "SELECT id, a FROM t UNION SELECT id, a FROM other",
    "SELECT id, a FROM t UNION ALL SELECT id, a FROM other",
    "SELECT id, row_number() OVER (ORDER BY a)::int AS a FROM t",
    "SELECT id, row_number() OVER (ORDER BY b)::int AS a FROM t",
    "SELECT id, a FROM t WHERE c = 'a'",
    "SELECT id, a FROM t WHERE c = 'b'",
    "SELECT id, a FROM t WHERE c = 'A'",
    "SELECT id, a FROM t WHERE c = 'a '",
    "SELECT id, a FROM t WHERE c LIKE 'a%'",
    "SELECT id, a FROM t WHERE c ILIKE 'a%'",
    "SELECT id, a FROM t WHERE c IS NULL",
    "SELECT id, a FROM t WHERE c IS NOT NULL",
    ("SELECT id, a FROM t WHERE a IN (1, 2)", "SELECT id, a FROM t WHERE a = ANY (ARRAY[1, 2])"),
    "SELECT id, a FROM t WHERE a NOT IN (1, 2)",
    "SELECT id, a FROM t WHERE a IN (2, 1)",
    "SELECT id, a FROM t WHERE a > 18 AND b > 1",
    "SELECT id, a FROM t WHERE a > 18 OR b > 1",
    "SELECT id, a FROM t WHERE NOT a > 18",
    "SELECT id, coalesce(a, 0) AS a FROM t",
    "SELECT id, coalesce(a, 1) AS a FROM t",
    "SELECT id, a::bigint AS a FROM t",
    "SELECT id, a AS other FROM t",
    "SELECT a, id FROM t",
    "SELECT id, a, c FROM t",
    "WITH q AS (SELECT * FROM t) SELECT id, a FROM q",
    "SELECT id, (SELECT max(a) FROM other) AS a FROM t",
    "SELECT id, (j ->> 'a')::int AS a FROM t",
    "SELECT id, (j ->> 'b')::int AS a FROM t",
    "SELECT id, a FROM t WHERE ts > '2020-01-01 00:00:00+00'",
    "SELECT id, a FROM t WHERE ts > '2020-01-01 00:00:00+01'",
    "SELECT id, a FROM t WHERE d > date '2020-01-01'",
    "SELECT id, a FROM t WHERE d > date '2020-02-01'",
]
EXPRESSIONS = [
    ("a > 0", "(a) > 0"),
    "a >= 0",
    "a > 1",
    "0 > a",
    "b > 0",
    "a > b",
    "b > a",
    "a <> b",
    "a = b",
    "a IS DISTINCT FROM b",
    "a + b > 0",
    "a - b > 0",
    "a > 0 AND b > 0",
    "a > 0 OR b > 0",
    "(a > 0 OR b > 0) AND id > 0",
    "a > 0 OR b > 0 AND id > 0",
    "c = 'x'",
    "c = 'X'",
    "c <> ''",
    "c ~ '^x'",
    "c ~* '^x'",
    "length(c) > 3",
    "length(c) < 3",
    "lower(c) = c",
    "upper(c) = c",
    "v IN ('a', 'b')",
    "v IN ('a', 'c')",
    "c IN ('a', 'b')",
    "c IS NOT NULL",
    "d > '2020-01-01'",
    "d > '2020-01-02'",
    "d BETWEEN '2020-01-01' AND '2020-01-02'",
    "n > 0.5",
    "n > 0.50",
    "n > 5",
    "arr <> '{}'",
    "arr && ARRAY['a']",
    "j ? 'a'",
    "jsonb_typeof(j) = 'object'",
    "plus(a, b) > 0",
    "minus(a, b) > 0",
    "CASE WHEN a > 0 THEN b > 0 ELSE true END",
    "CASE WHEN a > 0 THEN b > 0 ELSE false END",
]
INDEXES = [
    ("btree (a)", "btree (a ASC NULLS LAST)"),
    "btree (a DESC)",
    "btree (a NULLS FIRST)",
    "btree (b)",
    "btree (a, b)",
    "btree (b, a)",
    "btree (a) INCLUDE (b)",
    "btree (c)",
    "btree (c text_pattern_ops)",
    'btree (c COLLATE "C")',
    "btree (lower(c))",
    "btree (upper(c))",
    "btree ((a + b))",
    "hash (a)",
    "gin (j)",
    "gin (j jsonb_path_ops)",
    "gin (arr)",
    "brin (a)",
    "btree (a) WHERE b > 0",
    "btree (a) WHERE b > 1",
    "btree (a) WHERE b IS NULL",
    "btree (a) WHERE b IS NOT NULL",
    "btree (a) WITH (fillfactor = 70)",
    "btree (a) WITH (fillfactor = 71)",
    "btree (a) WITH (deduplicate_items = off)",
]
DEFAULTS = [
    ("int DEFAULT 1", "int4 DEFAULT 1"),
    "int DEFAULT 2",
    "int",
    "int NOT NULL DEFAULT 1",
    "bigint DEFAULT 1",
    "smallint DEFAULT 1",
    "numeric DEFAULT 1",
    "numeric(10) DEFAULT 1",
    "numeric(10, 2) DEFAULT 1",
    "numeric(10, 3) DEFAULT 1",
    ("text", "text DEFAULT NULL"),
    "text DEFAULT ''",
    "text DEFAULT 'a'",
    "text DEFAULT 'A'",
    'text COLLATE "C"',
    'text COLLATE "POSIX"',
    "varchar",
    "varchar(10)",
    ("varchar(11)", "character varying(11)"),
    "char(10)",
    "json DEFAULT '{}'",
    "json DEFAULT '[]'",
    "jsonb DEFAULT '{}'",
    "jsonb DEFAULT '[]'",
    "date DEFAULT '2020-01-01'",
    "date DEFAULT '2020-01-02'",
    "date DEFAULT CURRENT_DATE",
    "timestamp DEFAULT '2020-01-01 10:00:00'",
    "timestamp DEFAULT '2020-01-01 10:00:01'",
    "timestamp(3) DEFAULT '2020-01-01 10:00:00'",
    "timestamptz DEFAULT '2020-01-01 10:00:00+00'",
    "timestamptz DEFAULT '2020-01-01 11:00:00+00'",
    ("timestamptz DEFAULT now()", "timestamp with time zone DEFAULT now()"),
    "timestamptz DEFAULT clock_timestamp()",
    "interval DEFAULT '1 day'",
    "interval DEFAULT '24 hours'",
    "boolean DEFAULT true",
    "boolean DEFAULT false",
    "mood DEFAULT 'a'",
    "mood DEFAULT 'b'",
    "mood[] DEFAULT '{a}'",
    "text[] DEFAULT '{}'",
    "text[] DEFAULT '{a}'",
    "uuid DEFAULT gen_random_uuid()",
    "bytea DEFAULT '\\x00'",
    "money DEFAULT 1",
    "float8 DEFAULT 0.1",
    "float8 DEFAULT 0.1000000000000000055",
    "float8 DEFAULT 0.2",
    "int GENERATED ALWAYS AS IDENTITY",
    "int GENERATED BY DEFAULT AS IDENTITY",
    "int GENERATED ALWAYS AS IDENTITY (START 5)",
    "int GENERATED ALWAYS AS IDENTITY (INCREMENT 5)",
    "serial",
    "bigserial",
    "int GENERATED ALWAYS AS (id + 1) STORED",
    "int GENERATED ALWAYS AS (id + 2) STORED",
    "int[]",
    "point",
]
KEYS = [
    "UNIQUE (a)",
    "UNIQUE (b)",
    "UNIQUE (a, b)",
    "UNIQUE (b, a)",
    "UNIQUE (a) INCLUDE (b)",
    "UNIQUE (a) DEFERRABLE",
    "UNIQUE (a) DEFERRABLE INITIALLY DEFERRED",
    ("FOREIGN KEY (a) REFERENCES other", "FOREIGN KEY (a) REFERENCES other (id)"),
    "FOREIGN KEY (a) REFERENCES other (a)",
    "FOREIGN KEY (b) REFERENCES other (a)",
    "FOREIGN KEY (a) REFERENCES s.t",
    "FOREIGN KEY (a, b) REFERENCES other (a, b)",
    "FOREIGN KEY (a, b) REFERENCES other (a, b) MATCH FULL",
    "FOREIGN KEY (a) REFERENCES other ON DELETE CASCADE",
    "FOREIGN KEY (a) REFERENCES other ON DELETE SET NULL",
    "FOREIGN KEY (a) REFERENCES other ON UPDATE CASCADE",
    "FOREIGN KEY (a) REFERENCES other DEFERRABLE",
    "FOREIGN KEY (a) REFERENCES other DEFERRABLE INITIALLY DEFERRED",
    "FOREIGN KEY (a) REFERENCES other NOT VALID",
    "EXCLUDE USING btree (a WITH =)",
    "EXCLUDE USING btree (b WITH =)",
    "EXCLUDE USING btree (a WITH =) WHERE (b > 0)",
    "EXCLUDE USING gist (tstzrange(ts, ts) WITH &&)",
    "EXCLUDE USING gist (tstzrange(ts, ts) WITH -|-)",
    "CHECK (a > 0) NOT VALID",
    "CHECK (a > 0) NO INHERIT",
]
TRIGGERS = [
    "BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "BEFORE UPDATE OF b ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "BEFORE UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION f()",
    "BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f2()",
    "BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f('x')",
    "BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f('y')",
    "BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.a > 1) EXECUTE FUNCTION f()",
    "BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.a > 2) EXECUTE FUNCTION f()",
    "BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.a > 1) EXECUTE FUNCTION f()",
    "AFTER UPDATE ON t REFERENCING NEW TABLE AS nt FOR EACH STATEMENT EXECUTE FUNCTION f()",
    "AFTER UPDATE ON t REFERENCING NEW TABLE AS n2 FOR EACH STATEMENT EXECUTE FUNCTION f()",
]
FUNCTIONS = [
    "@(i int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "@(i int) RETURNS int LANGUAGE sql AS 'SELECT 2'",
    "@(i int) RETURNS int LANGUAGE sql AS 'select 1'",
    "@(i bigint) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "@(j int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "@(i int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "@(i int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "@(i int) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1'",
    "@(i int) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
    "@(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
    "@(i int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'",
    "@(i int) RETURNS int LANGUAGE sql STRICT AS 'SELECT 1'",
    "@(i int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
    "@(i int) RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1'",
    "@(i int) RETURNS int LANGUAGE sql PARALLEL SAFE AS 'SELECT 1'",
    "@(i int) RETURNS int LANGUAGE sql COST 5 AS 'SELECT 1'",
    "@(i int) RETURNS int LANGUAGE sql SET search_path = public AS 'SELECT 1'",
    "@(i int) RETURNS int LANGUAGE sql SET search_path = '' AS 'SELECT 1'",
    "@(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
    ("@(i int) RETURNS int LANGUAGE sql RETURN i + 1", "@(i int) RETURNS int LANGUAGE sql RETURN (i) + 1"),
    "@(i int) RETURNS int LANGUAGE sql RETURN i + 2",
    "@(i int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END",
]
PARTITIONED = "CREATE TABLE @ (id int, at date) PARTITION BY RANGE (at); CREATE TABLE p@ PARTITION OF @ "
MADE = [
    # sequences
    "CREATE SEQUENCE @",
    "CREATE SEQUENCE @ AS int",
    "CREATE SEQUENCE @ AS smallint",
    "CREATE SEQUENCE @ START 5",
    "CREATE SEQUENCE @ INCREMENT 5",
    "CREATE SEQUENCE @ INCREMENT -1",
    "CREATE SEQUENCE @ MAXVALUE 100",
    "CREATE SEQUENCE @ MINVALUE 0",
    "CREATE SEQUENCE @ CACHE 5",
    "CREATE SEQUENCE @ CYCLE",
    "CREATE SEQUENCE @ OWNED BY t.a",
    "CREATE SEQUENCE @ OWNED BY t.b",
    "CREATE UNLOGGED SEQUENCE @",
    # types
    "CREATE TYPE @ AS ENUM ('a', 'b')",
    "CREATE TYPE @ AS ENUM ('b', 'a')",
    "CREATE TYPE @ AS ENUM ('a')",
    "CREATE TYPE @ AS ENUM ('a', 'b', 'c')",
    "CREATE TYPE @ AS ENUM ()",
    "CREATE TYPE @ AS ENUM ('a, b')",
    "CREATE TYPE @ AS (x int, y int)",
    "CREATE TYPE @ AS (x int, z int)",
    "CREATE TYPE @ AS (x int)",
    "CREATE TYPE @ AS (x bigint, y int)",
    'CREATE TYPE @ AS (x text COLLATE "C")',
    "CREATE TYPE @ AS (x text)",
    "CREATE TYPE @ AS RANGE (subtype = int)",
    "CREATE TYPE @ AS RANGE (subtype = float8)",
    "CREATE TYPE @ AS RANGE (subtype = float8, subtype_diff = float8mi)",
    "CREATE TYPE @ AS RANGE (subtype = text)",
    'CREATE TYPE @ AS RANGE (subtype = text, collation = "C")',
    "CREATE TYPE @ AS RANGE (subtype = text, subtype_opclass = text_pattern_ops)",
    "CREATE TYPE @",
    # domains
    "CREATE DOMAIN @ AS int",
    "CREATE DOMAIN @ AS bigint",
    "CREATE DOMAIN @ AS varchar(5)",
    "CREATE DOMAIN @ AS varchar(6)",
    "CREATE DOMAIN @ AS int NOT NULL",
    "CREATE DOMAIN @ AS int DEFAULT 1",
    "CREATE DOMAIN @ AS int DEFAULT 2",
    "CREATE DOMAIN @ AS int CHECK (VALUE > 0)",
    "CREATE DOMAIN @ AS int CHECK (VALUE > 1)",
    'CREATE DOMAIN @ AS text COLLATE "C"',
    "CREATE DOMAIN @ AS text",
    # statistics
    "CREATE STATISTICS @ ON a, b FROM t",
    "CREATE STATISTICS @ ON a, c FROM t",
    "CREATE STATISTICS @ (ndistinct) ON a, b FROM t",
    "CREATE STATISTICS @ (dependencies) ON a, b FROM t",
    "CREATE STATISTICS @ ON a, (b + 1) FROM t",
    "CREATE STATISTICS @ ON a, (b + 2) FROM t",
    "CREATE STATISTICS @ ON a, b FROM other",
    "CREATE STATISTICS @ ON a, b FROM t; ALTER STATISTICS @ SET STATISTICS 5",
    # rules
    "CREATE RULE @ AS ON INSERT TO parent DO NOTHING",
    "CREATE RULE @ AS ON INSERT TO parent DO INSTEAD NOTHING",
    "CREATE RULE @ AS ON UPDATE TO parent DO NOTHING",
    "CREATE RULE @ AS ON UPDATE TO parent WHERE OLD.a > 1 DO NOTHING",
    "CREATE RULE @ AS ON UPDATE TO parent WHERE OLD.a > 2 DO NOTHING",
    "CREATE RULE @ AS ON UPDATE TO parent DO ALSO DELETE FROM other",
    "CREATE RULE @ AS ON INSERT TO other DO NOTHING",
    "CREATE RULE @ AS ON INSERT TO parent DO NOTHING; ALTER TABLE parent DISABLE RULE @",
    # policies
    "CREATE POLICY @ ON t USING (a > 1)",
    "CREATE POLICY @ ON t USING (a > 2)",
    "CREATE POLICY @ ON t WITH CHECK (a > 1)",
    "CREATE POLICY @ ON t USING (a > 1) WITH CHECK (a > 1)",
    "CREATE POLICY @ ON t FOR SELECT USING (a > 1)",
    "CREATE POLICY @ ON t FOR UPDATE USING (a > 1)",
    "CREATE POLICY @ ON t AS RESTRICTIVE USING (a > 1)",
    "CREATE POLICY @ ON t TO rescue_app USING (a > 1)",
    "CREATE POLICY @ ON other USING (a > 1)",
    # triggers with a state
    "CREATE TRIGGER @ BEFORE UPDATE ON other FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE TRIGGER @ BEFORE UPDATE ON other FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE other DISABLE TRIGGER @",
    "CREATE TRIGGER @ AFTER DELETE ON other EXECUTE FUNCTION f(); ALTER TABLE other ENABLE REPLICA TRIGGER @",
    "CREATE TRIGGER @ AFTER DELETE ON other EXECUTE FUNCTION f()",
    "CREATE CONSTRAINT TRIGGER @ AFTER UPDATE ON other FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE CONSTRAINT TRIGGER @ AFTER UPDATE ON other DEFERRABLE FOR EACH ROW EXECUTE FUNCTION f()",
    # tables
    "CREATE TABLE @ (id int)",
    "CREATE UNLOGGED TABLE @ (id int)",
    "CREATE TABLE @ (id int) WITH (fillfactor = 70)",
    "CREATE TABLE @ (id text) WITH (toast.autovacuum_enabled = off)",
    "CREATE TABLE @ (id int, a int)",
    "CREATE TABLE @ (a int, id int, CHECK (a > 0))",
    "CREATE TABLE @ (id int) INHERITS (parent)",
    "CREATE TABLE @ () INHERITS (parent)",
    PARTITIONED + "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
    PARTITIONED + "FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
    PARTITIONED + "DEFAULT",
    "CREATE TABLE @ (id int) PARTITION BY RANGE (id)",
    "CREATE TABLE @ (id int) PARTITION BY LIST (id)",
    "CREATE TABLE @ (id int) PARTITION BY HASH (id)",
    "CREATE TABLE @ (id int) PARTITION BY RANGE ((id + 1))",
    "CREATE TABLE @ (id int); ALTER TABLE @ ENABLE ROW LEVEL SECURITY",
    "CREATE TABLE @ (id int); ALTER TABLE @ FORCE ROW LEVEL SECURITY",
    "CREATE TABLE @ (id int); ALTER TABLE @ REPLICA IDENTITY FULL",
    "CREATE TABLE @ (id int); COMMENT ON TABLE @ IS 'x'",
    "CREATE TABLE @ (id int); COMMENT ON TABLE @ IS 'y'",
    "CREATE TABLE @ (id int); COMMENT ON COLUMN @.id IS 'x'",
    "CREATE TABLE @ (id int); GRANT SELECT ON @ TO PUBLIC",
    "CREATE TABLE @ (id int); GRANT SELECT ON @ TO rescue_app",
    "CREATE TABLE @ (id int); GRANT SELECT ON @ TO rescue_app WITH GRANT OPTION",
    "CREATE TABLE @ (id int); GRANT SELECT (id) ON @ TO rescue_app",
    "CREATE TABLE @ (id int); GRANT UPDATE ON @ TO rescue_app",
    "CREATE TABLE @ (id int); REVOKE UPDATE ON @ FROM CURRENT_USER",
    "CREATE TABLE @ (id int); ALTER TABLE @ OWNER TO rescue_app",
    "CREATE TABLE @ (id int); ALTER TABLE @ ALTER id SET STATISTICS 5",
    "CREATE TABLE @ (id int); ALTER TABLE @ ALTER id SET (n_distinct = 5)",
    "CREATE TABLE @ (id text); ALTER TABLE @ ALTER id SET STORAGE PLAIN",
    "CREATE TABLE @ (id text COMPRESSION pglz)",
    "CREATE TABLE @ (id text)",
    "CREATE TABLE @ OF s_type",
    "CREATE FOREIGN TABLE @ (id int) SERVER srv",
    "CREATE FOREIGN TABLE @ (id int) SERVER srv OPTIONS (x '1')",
    "CREATE FOREIGN TABLE @ (id int OPTIONS (y '1')) SERVER srv",
    # views with options
    "CREATE VIEW @ AS SELECT 1 AS id",
    "CREATE VIEW @ WITH (security_barrier) AS SELECT 1 AS id",
    "CREATE VIEW @ WITH (security_invoker) AS SELECT 1 AS id",
    "CREATE VIEW @ AS SELECT id FROM t",
    "CREATE VIEW @ AS SELECT id FROM t WITH LOCAL CHECK OPTION",
    "CREATE VIEW @ AS SELECT id FROM t WITH CASCADED CHECK OPTION",
    "CREATE VIEW @ AS SELECT id FROM t; ALTER VIEW @ ALTER id SET DEFAULT 1",
    "CREATE MATERIALIZED VIEW @ AS SELECT 1 AS id",
    "CREATE MATERIALIZED VIEW @ AS SELECT 2 AS id",
    # publications, casts and the like
    "CREATE PUBLICATION @",
    "CREATE PUBLICATION @ FOR ALL TABLES",
    "CREATE PUBLICATION @ FOR TABLE t",
    "CREATE PUBLICATION @ FOR TABLE other",
    "CREATE PUBLICATION @ FOR TABLE t, other",
    "CREATE PUBLICATION @ FOR TABLE t (id, a)",
    "CREATE PUBLICATION @ FOR TABLE t (id, b)",
    "CREATE PUBLICATION @ FOR TABLE t WHERE (id > 1)",
    "CREATE PUBLICATION @ FOR TABLE t WHERE (id > 2)",
    "CREATE PUBLICATION @ FOR TABLES IN SCHEMA public",
    "CREATE PUBLICATION @ WITH (publish = 'insert')",
    "CREATE AGGREGATE @ (int) (sfunc = plus, stype = int)",
    "CREATE AGGREGATE @ (int) (sfunc = minus, stype = int)",
    "CREATE AGGREGATE @ (int) (sfunc = plus, stype = int, initcond = '0')",
    "CREATE AGGREGATE @ (int) (sfunc = plus, stype = int, initcond = '1')",
    "CREATE AGGREGATE @ (int) (sfunc = plus, stype = int, parallel = safe)",
    "CREATE PROCEDURE @() LANGUAGE sql AS 'DELETE FROM t'",
    "CREATE PROCEDURE @() LANGUAGE sql AS 'DELETE FROM other'",
    "CREATE COLLATION @ (locale = 'C')",
    "CREATE COLLATION @ (locale = 'POSIX')",
    "CREATE TEXT SEARCH CONFIGURATION @ (parser = default)",
    "CREATE TEXT SEARCH CONFIGURATION @ (copy = simple)",
    "CREATE TEXT SEARCH CONFIGURATION @ (copy = english)",
    "CREATE TEXT SEARCH DICTIONARY @ (template = simple)",
    "CREATE TEXT SEARCH DICTIONARY @ (template = simple, accept = false)",
    "CREATE SERVER @ FOREIGN DATA WRAPPER w",
    "CREATE SERVER @ FOREIGN DATA WRAPPER w OPTIONS (host 'x')",
    "CREATE SERVER @ TYPE 'a' FOREIGN DATA WRAPPER w",
    "CREATE FOREIGN DATA WRAPPER @",
    "CREATE FOREIGN DATA WRAPPER @ OPTIONS (debug 'true')",
    "CREATE SCHEMA @",
    "CREATE SCHEMA @ AUTHORIZATION rescue_app",
    "CREATE SCHEMA @; GRANT USAGE ON SCHEMA @ TO PUBLIC",
    "CREATE OPERATOR FAMILY @ USING btree",
    "CREATE OPERATOR FAMILY @ USING hash",
    "CREATE OPERATOR CLASS @ FOR TYPE int USING btree AS FUNCTION 1 btint4cmp(int, int)",
    "CREATE OPERATOR CLASS @ FOR TYPE bigint USING btree AS FUNCTION 1 btint8cmp(bigint, bigint)",
    "CREATE EVENT TRIGGER @ ON ddl_command_end EXECUTE FUNCTION event_f()",
    "CREATE EVENT TRIGGER @ ON sql_drop EXECUTE FUNCTION event_f()",
    "CREATE EVENT TRIGGER @ ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION event_f()",
    "CREATE EVENT TRIGGER @ ON ddl_command_end EXECUTE FUNCTION event_f(); ALTER EVENT TRIGGER @ DISABLE",
]
NAMELESS = {"index", "table constraint", "domain constraint", "trigger", "rule", "policy", "statistics object"}
"""Those whose facts do not contain their own names."""
KINDS = {
    "views": ("CREATE VIEW @ AS {}", VIEWS),
    "materialized views": ("CREATE MATERIALIZED VIEW @ AS {}", VIEWS[:8]),
    "checks": ("ALTER TABLE t ADD CONSTRAINT @ CHECK ({})", EXPRESSIONS),
    "policies": ("CREATE POLICY @ ON t USING ({})", EXPRESSIONS),
    "partial indexes": ("CREATE INDEX @ ON t (id) WHERE {}", EXPRESSIONS),
    "indexes": ("CREATE INDEX @ ON t USING {}", INDEXES),
    "unique indexes": ("CREATE UNIQUE INDEX @ ON t USING {}", [i for i in INDEXES if str(i).find("btree") >= 0]),
    "keys": ("ALTER TABLE t ADD CONSTRAINT @ {}", KEYS),
    "columns": ("CREATE TABLE @ (id int, c {})", DEFAULTS),
    "triggers": ("CREATE TRIGGER @ {}", TRIGGERS),
    "functions": ("CREATE FUNCTION {}", FUNCTIONS),
    "all else": ("{}", MADE),
}
EXTRA = """
CREATE TYPE s_type AS (id int);
CREATE FUNCTION event_f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
"""


def _groups(definitions) -> list[tuple[int, str]]:
    spellings = [(d,) if isinstance(d, str) else d for d in definitions]
    return [(group, text) for group, same in enumerate(spellings) for text in same]


def _told(catalog, markers: Iterable[str]) -> dict[str, list[tuple]]:
    """All objects named after each marker, with the marker itself written as an asterisk."""
    told = {marker: [] for marker in markers}
    for found, facts in catalog.items():
        for marker in {*re.findall(r"m\d+m", found.name + found.parent)}:
            words = [(name, value.replace(marker, "*")) for name, value in facts.items()]
            told[marker].append(
                (found.kind, found.name.replace(marker, "*"), found.parent.replace(marker, "*"), *sorted(words))
            )
    return {marker: sorted(words) for marker, words in told.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_facts_are_equal_only_for_the_same_definition(any_server, kind):
    template, definitions = KINDS[kind]
    groups = _groups(definitions)
    scripts = [template.replace("{}", text).replace("@", f"m{number}m") for number, (_, text) in enumerate(groups)]
    with fresh_database(any_server) as database:
        database.run("; ".join((BASE, EXTRA, *scripts)), role="postgres")
        url = f"postgresql+psycopg2://postgres@/{database.name}?host={any_server.pgdata}&port={any_server.port}"
        with create_engine(url, poolclass=NullPool).connect() as connection:
            catalog = READER.everything(connection)
            told = _told(catalog, [f"m{number}m" for number in range(len(groups))])
    assert not {
        (found.kind, found.name)
        for found, facts in catalog.items()
        for marker in re.findall(r"m\d+m", found.name)
        if found.kind in NAMELESS and any(marker in value for value in facts.values())
    }
    wrong = [
        (scripts[one], scripts[other], told[f"m{one}m"])
        for one, other in itertools.combinations(range(len(groups)), 2)
        if (told[f"m{one}m"] == told[f"m{other}m"]) != (groups[one][0] == groups[other][0])
    ]
    assert wrong == []
    assert all(told.values())
