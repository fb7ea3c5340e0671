"""Following a database from statement to statement: each change is seen, and their sum is the whole catalog."""

from __future__ import annotations

import contextlib
import random
import uuid

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from alembic_rescue.dialects.postgresql.catalog import READER
from tests.conftest import fresh_database
from tests.servers import ROLE

BASE = """
CREATE TABLE t (id int PRIMARY KEY, a int, b int, c text, j json DEFAULT '{}'::json, n int, d date DEFAULT '2020-01-01',
  arr text[] DEFAULT '{}', num numeric(10, 2) DEFAULT 1.5, e varchar(50));
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE TYPE candidate_status AS ENUM ('new', 'open');
CREATE TYPE pair AS (x int, y int);
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE TABLE u (id int PRIMARY KEY, s candidate_status DEFAULT 'new', m mood,
  ts timestamp DEFAULT '2020-01-01 10:00:00', v varchar(50), k uuid);
CREATE TABLE w (id int PRIMARY KEY, t_id int, u_id int);
ALTER TABLE w ADD CONSTRAINT fk_t FOREIGN KEY (t_id) REFERENCES t (id);
ALTER TABLE w ADD CONSTRAINT uq_w UNIQUE (t_id, u_id);
CREATE VIEW v AS SELECT id, a FROM t WHERE a > 18;
CREATE VIEW vv AS SELECT * FROM v;
CREATE MATERIALIZED VIEW mv AS SELECT id, a FROM t WHERE a > 18;
CREATE SEQUENCE sq AS integer;
CREATE INDEX ix ON t (c);
CREATE INDEX ixp ON t (a) WHERE a > 10;
CREATE INDEX ixe ON t ((a + b));
ALTER TABLE t ADD CONSTRAINT ck CHECK (a < b);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER trg BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f('x');
CREATE FUNCTION g(i int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
CREATE PROCEDURE pr() LANGUAGE sql AS 'DELETE FROM t';
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON t TO rescue_app USING (a > 1);
ALTER TABLE t ADD CONSTRAINT ex EXCLUDE USING btree (n WITH =);
CREATE TABLE part (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE loose (id int, at date);
CREATE TABLE parent (id int);
CREATE TABLE child (id int);
COMMENT ON TABLE t IS 'one';
COMMENT ON COLUMN t.a IS 'one';
GRANT SELECT ON u TO rescue_app;
CREATE FUNCTION event_f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE RULE r AS ON INSERT TO loose DO NOTHING;
CREATE SCHEMA s;
"""

CHANGES = """
ALTER TABLE t ALTER COLUMN j SET DEFAULT '[]'::json
ALTER TABLE u ALTER COLUMN ts SET DEFAULT '1999-09-09 09:09:09'
ALTER TABLE u ALTER COLUMN s SET DEFAULT 'open'
ALTER TABLE u ALTER COLUMN s DROP DEFAULT
ALTER TYPE mood RENAME TO old; CREATE TYPE mood AS ENUM ('a'); ALTER TABLE u ALTER m TYPE mood USING 'a'; DROP TYPE old
ALTER TYPE candidate_status ADD VALUE 'closed' BEFORE 'open'
ALTER TYPE candidate_status RENAME VALUE 'closed' TO 'shut'
CREATE OR REPLACE VIEW v AS SELECT id, a FROM t WHERE a > 21
CREATE OR REPLACE VIEW v AS SELECT id, a FROM t WHERE a < 18
CREATE OR REPLACE VIEW v WITH (security_barrier = true) AS SELECT id, a FROM t WHERE a < 18
ALTER VIEW v SET (security_barrier = false)
ALTER SEQUENCE sq AS bigint
ALTER SEQUENCE sq INCREMENT 5
ALTER SEQUENCE sq OWNED BY t.n
ALTER SEQUENCE sq OWNED BY NONE
ALTER TABLE t DROP CONSTRAINT ck; ALTER TABLE t ADD CONSTRAINT ck CHECK (b < a) NOT VALID
ALTER TABLE t VALIDATE CONSTRAINT ck
ALTER TABLE t RENAME CONSTRAINT ck TO ck2
DROP INDEX ix; CREATE INDEX ix ON t (c text_pattern_ops)
ALTER INDEX ix RENAME TO ix2
ALTER INDEX ix2 SET (fillfactor = 70)
ALTER INDEX ixe ALTER COLUMN 1 SET STATISTICS 50
ALTER TABLE t DROP CONSTRAINT ex; ALTER TABLE t ADD CONSTRAINT ex EXCLUDE USING btree (a WITH =)
DROP TRIGGER trg ON t; CREATE TRIGGER trg BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f('y')
ALTER TABLE t DISABLE TRIGGER trg
ALTER TABLE w DISABLE TRIGGER ALL
ALTER TRIGGER trg ON t RENAME TO trg2
CREATE OR REPLACE FUNCTION g(i int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'
ALTER FUNCTION g(int) RENAME TO g2
ALTER FUNCTION g2(int) SET search_path = ''
ALTER FUNCTION f() RENAME TO ff
REVOKE EXECUTE ON FUNCTION g2(int) FROM PUBLIC
ALTER POLICY p ON t TO public
ALTER POLICY p ON t USING (a > 2)
CREATE STATISTICS st ON a, b FROM t
ALTER STATISTICS st SET STATISTICS 50
ALTER TABLE t REPLICA IDENTITY FULL
ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey
ALTER TABLE t CLUSTER ON t_pkey
ALTER TABLE t ALTER COLUMN c TYPE text COLLATE "C"
ALTER TABLE u ALTER COLUMN v TYPE varchar(60)
ALTER TABLE u ALTER COLUMN v SET NOT NULL
ALTER TABLE u ALTER COLUMN v SET STATISTICS 50
ALTER TABLE u ALTER COLUMN v SET STORAGE PLAIN
ALTER TABLE u ALTER COLUMN v SET (n_distinct = 5)
ALTER TABLE u ALTER COLUMN v SET COMPRESSION pglz
ALTER TABLE t RENAME COLUMN a TO aa
ALTER TABLE t RENAME TO tt
ALTER TABLE tt RENAME TO t
ALTER TABLE t DROP COLUMN num
ALTER TABLE t ADD COLUMN num numeric GENERATED ALWAYS AS (id * 2) STORED
ALTER TABLE t ADD COLUMN big bigint GENERATED BY DEFAULT AS IDENTITY
ALTER TABLE t ALTER COLUMN big SET GENERATED ALWAYS
ALTER TABLE t ALTER COLUMN big DROP IDENTITY
ALTER TABLE t SET (fillfactor = 70)
ALTER TABLE t SET (toast.autovacuum_enabled = off)
ALTER TABLE w DROP CONSTRAINT fk_t; ALTER TABLE t SET UNLOGGED
ALTER TABLE t SET LOGGED
ALTER TABLE loose SET UNLOGGED
ALTER TABLE t DISABLE ROW LEVEL SECURITY
ALTER TABLE t FORCE ROW LEVEL SECURITY
ALTER TABLE part ATTACH PARTITION loose FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')
ALTER TABLE part DETACH PARTITION part_1
ALTER TABLE child INHERIT parent
ALTER TABLE child NO INHERIT parent
COMMENT ON TABLE t IS 'two'
COMMENT ON TABLE t IS NULL
COMMENT ON COLUMN t.b IS 'two'
COMMENT ON CONSTRAINT ck2 ON t IS 'x'
COMMENT ON SCHEMA public IS 'x'
COMMENT ON DATABASE @ IS 'x'
COMMENT ON ROLE rescue_app IS 'x'; COMMENT ON ROLE rescue_app IS NULL; ALTER TABLE w OWNER TO rescue_app
GRANT INSERT ON u TO rescue_app WITH GRANT OPTION
GRANT SELECT (id) ON t TO rescue_app
REVOKE ALL ON u FROM rescue_app
GRANT CREATE ON SCHEMA public TO rescue_app
GRANT USAGE ON TYPE pair TO rescue_app WITH GRANT OPTION
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO rescue_app
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM rescue_app
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO rescue_app
GRANT SELECT (rolname) ON pg_catalog.pg_authid TO rescue_app
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC
ALTER DATABASE @ SET work_mem = '5MB'
ALTER DATABASE @ CONNECTION LIMIT 50
ALTER ROLE rescue_app IN DATABASE @ SET work_mem = '5MB'
ALTER ROLE rescue_app IN DATABASE @ RESET ALL
CREATE PUBLICATION pub FOR TABLE t
ALTER PUBLICATION pub ADD TABLE u
ALTER PUBLICATION pub SET (publish = 'insert')
ALTER PUBLICATION pub DROP TABLE u
CREATE RULE r2 AS ON UPDATE TO child DO NOTHING
ALTER TABLE loose DISABLE RULE r
CREATE CAST (pair AS text) WITH INOUT
DROP CAST (pair AS text)
CREATE OPERATOR ### (leftarg = int, rightarg = int, function = plus)
DROP OPERATOR ### (int, int)
CREATE AGGREGATE agg (int) (sfunc = plus, stype = int)
ALTER AGGREGATE agg (int) RENAME TO agg2
CREATE COLLATION coll (locale = 'C')
CREATE TEXT SEARCH CONFIGURATION conf (copy = simple)
ALTER TEXT SEARCH CONFIGURATION conf ALTER MAPPING FOR word WITH english_stem
ALTER TEXT SEARCH CONFIGURATION conf DROP MAPPING FOR word
CREATE TEXT SEARCH DICTIONARY dict (template = simple)
CREATE CONVERSION conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8
CREATE OPERATOR FAMILY fam USING btree
ALTER OPERATOR FAMILY fam USING btree ADD FUNCTION 1 (int, bigint) btint48cmp(int, bigint)
CREATE EVENT TRIGGER ev_@ ON ddl_command_end EXECUTE FUNCTION event_f()
ALTER EVENT TRIGGER ev_@ DISABLE
CREATE FOREIGN DATA WRAPPER wrapper
CREATE SERVER srv FOREIGN DATA WRAPPER wrapper OPTIONS (host 'x')
CREATE USER MAPPING FOR rescue_app SERVER srv OPTIONS (user 'x', password 'y')
ALTER USER MAPPING FOR rescue_app SERVER srv OPTIONS (SET user 'z')
CREATE FOREIGN TABLE ft (id int) SERVER srv OPTIONS (x 'y')
ALTER FOREIGN TABLE ft OPTIONS (SET x 'z')
ALTER TYPE pair ADD ATTRIBUTE z int
ALTER TYPE pair RENAME ATTRIBUTE z TO zz
ALTER DOMAIN posint SET DEFAULT 5
ALTER DOMAIN posint SET NOT NULL
ALTER DOMAIN posint ADD CONSTRAINT small CHECK (VALUE < 100)
ALTER DOMAIN posint RENAME TO positive
CREATE TYPE rng AS RANGE (subtype = int)
CREATE EXTENSION vector SCHEMA s
COMMENT ON TYPE s.vector IS 'x'
ALTER EXTENSION vector SET SCHEMA public
CREATE TABLE vectors (v vector(3)); CREATE INDEX vi ON vectors USING hnsw (v vector_l2_ops)
ALTER FUNCTION plus(int, int) DEPENDS ON EXTENSION vector
DROP EXTENSION vector CASCADE
ALTER TABLE u SET SCHEMA s
ALTER SCHEMA s RENAME TO s2
CREATE ROLE @_role
ALTER ROLE @_role CREATEDB
GRANT @_role TO rescue_app
ALTER TABLE w OWNER TO @_role
ALTER ROLE @_role RENAME TO @_role2
ALTER TABLE w OWNER TO postgres; DROP ROLE @_role2
DROP TABLE t CASCADE
DROP SCHEMA s2 CASCADE
DROP SCHEMA public CASCADE; CREATE SCHEMA public
""".strip().splitlines()
"""An @ is the database's name."""


@contextlib.contextmanager
def connected(database):
    url = f"postgresql+psycopg2://postgres@/{database.name}?host={database.server.pgdata}&port={database.server.port}"
    with create_engine(url, poolclass=NullPool).connect() as connection:
        yield connection


def applied(catalog, changes):
    """Apply changes to a catalog; each must fit what existed before."""
    after = dict(catalog)
    for change in changes:
        assert change.before != change.after
        if change.object in after or change.object.kind not in {"function", "table column", "language", "type"}:
            assert after.get(change.object) == change.before, change
        else:
            assert change.before is None or delivered(change.object), change
        if change.after is None:
            del after[change.object]
        else:
            after[change.object] = change.after
    return after


def delivered(found):
    """Whether it came with the server or an extension."""
    return found.kind == "language" or found.name.startswith(("pg_catalog.", "vector."))


def ours(database, objects):
    """Without the roles that other tests create on the same server."""
    return [found for found in objects if not found.kind.startswith("role") or database.name in found.name]


def step(database, watch, connection):
    """The changes in this database, and the renames."""
    changes, renames = watch.step(connection)
    kept = ours(database, [change.object for change in changes])
    return [change for change in changes if change.object in kept], renames


def everything(database, connection):
    """The catalog of this database alone."""
    catalog = READER.everything(connection)
    return {found: catalog[found] for found in ours(database, catalog)}


def check(database, catalog, connection, watch, statement):
    """Check that the changes so far add up to the actual catalog, and that nothing is reported twice."""
    whole = everything(database, connection)
    kept = {found: facts for found, facts in catalog.items() if found in whole or not delivered(found)}
    assert kept == whole, statement
    assert step(database, watch, connection)[0] == [], statement


def test_each_change_is_seen_and_their_sum_is_the_whole(any_server):
    with fresh_database(any_server) as database, connected(database) as connection:
        database.run(BASE, role="postgres")
        catalog = everything(database, connection)
        watch = READER.watch(connection)
        for number, statement in enumerate(CHANGES):
            database.run(statement.replace("@", database.name), role="postgres")
            changes, _ = step(database, watch, connection)
            assert changes, statement
            catalog = applied(catalog, changes)
            if number % 8 == 0 or statement == CHANGES[-1]:
                check(database, catalog, connection, watch, statement)


def test_what_somebody_elses_open_transaction_keeps_recent_is_reported_once(any_server):
    """While one is open on the server, what was committed since then looks new."""
    with (
        fresh_database(any_server) as database,
        connected(database) as connection,
        fresh_database(any_server) as other,
        other.session() as theirs,
    ):
        theirs.cursor().execute("SELECT txid_current()")
        database.run("CREATE TABLE before (id integer)", role="postgres")
        watch = READER.watch(connection)
        assert step(database, watch, connection)[0] == []
        database.run("CREATE EXTENSION vector", role="postgres")
        assert [change.object.name for change in step(database, watch, connection)[0]] == ["vector"]
        assert step(database, watch, connection)[0] == []
        for comment in ("one", "two"):
            database.run(f"COMMENT ON TYPE vector IS '{comment}'", role="postgres")
            (change,) = step(database, watch, connection)[0]
            assert change.after["comment"] == comment
        assert step(database, watch, connection)[0] == []


def test_a_role_that_somebody_else_creates_meanwhile_is_not_the_revisions(any_server):
    """A scratch server given with ``--scratch URL`` may have other users."""
    name = f"theirs_{uuid.uuid4().hex[:8]}"
    ours = f"ours_{uuid.uuid4().hex[:8]}"
    sent = [f"CREATE ROLE {ours}", f"GRANT {ours} TO {ROLE}", "CREATE TABLE t (id integer)"]
    with fresh_database(any_server) as database, connected(database) as connection:
        try:
            watch = READER.watch(connection)
            database.run(f"CREATE ROLE {name}; GRANT {name} TO {ROLE};" + "; ".join(sent), role="postgres")
            made = [change.object.name for change in watch.step(connection, sent)[0]]
            assert {"public.t", ours, f"{ROLE} in {ours} by postgres"} <= {*made}
            assert not [one for one in made if name in one]
            database.run(f"DROP ROLE {name}; DROP ROLE {ours}", role="postgres")
            gone = watch.step(connection, [f"DROP ROLE {ours}"])[0]
            assert {change.object.name for change in gone} == {ours, f"{ROLE} in {ours} by postgres"}
            database.run(f"CREATE ROLE {ours}", role="postgres")
            (in_a_block,) = watch.step(connection, ["DO $$ BEGIN EXECUTE 'CREATE ' || 'ROLE ou' || 'rs'; END $$"])[0]
            assert in_a_block.object.name == ours
        finally:
            database.run(f"DROP ROLE IF EXISTS {name}; DROP ROLE IF EXISTS {ours}", role="postgres")


RANDOM = (
    "CREATE TABLE {t} (id int PRIMARY KEY, a int, b text)",
    "DROP TABLE {t} CASCADE",
    "ALTER TABLE {t} RENAME TO {t2}",
    "ALTER TABLE {t} RENAME COLUMN a TO c",
    "ALTER TABLE {t} RENAME COLUMN c TO a",
    "ALTER TABLE {t} ADD COLUMN c int DEFAULT 5",
    "ALTER TABLE {t} DROP COLUMN a CASCADE",
    "CREATE INDEX i{t} ON {t} (a)",
    "CREATE VIEW v{t} AS SELECT * FROM {t}",
    "CREATE OR REPLACE VIEW v{t} AS SELECT * FROM {t2}",
    "ALTER TABLE {t} ADD CONSTRAINT ck{t} CHECK (id > 5)",
    "ALTER TABLE {t} ADD CONSTRAINT fk{t} FOREIGN KEY (a) REFERENCES {t2}",
    "ALTER TABLE {t} DROP CONSTRAINT IF EXISTS fk{t}",
    "COMMENT ON TABLE {t} IS 'x'",
    "COMMENT ON TABLE {t} IS NULL",
    "CREATE TYPE y{t} AS ENUM ('a')",
    "ALTER TYPE y{t} ADD VALUE 'b'",
    "ALTER TABLE {t} ADD COLUMN e y{t2}",
    "DROP TYPE y{t} CASCADE",
    "ALTER TYPE y{t} RENAME TO y{t2}",
    "ALTER TABLE {t} SET SCHEMA s",
    "ALTER TABLE s.{t} SET SCHEMA public",
    "ALTER SCHEMA s RENAME TO {t}",
    "ALTER SCHEMA {t} RENAME TO s",
    "ALTER TABLE {t} INHERIT {t2}",
    "ALTER TABLE {t} NO INHERIT {t2}",
    "GRANT SELECT ON {t} TO PUBLIC",
    "REVOKE SELECT ON {t} FROM PUBLIC",
)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_statements_are_followed(server, seed):
    chance = random.Random(seed)
    with fresh_database(server) as database, connected(database) as connection, database.session() as session:
        database.run("CREATE SCHEMA s AUTHORIZATION CURRENT_USER; GRANT ALL ON SCHEMA public, s TO rescue_app")
        catalog = everything(database, connection)
        watch = READER.watch(connection)
        for _ in range(15):
            statements = []
            for _ in range(chance.randint(1, 8)):
                t, t2 = chance.sample(["ta", "tb", "tc", "td"], 2)
                statements.append(chance.choice(RANDOM).format(t=t, t2=t2))
            with session.cursor() as cursor:
                for statement in statements:
                    cursor.execute("SAVEPOINT x")
                    with contextlib.suppress(session.Error):
                        cursor.execute(statement)
                        continue
                    cursor.execute("ROLLBACK TO SAVEPOINT x")
            session.commit()
            changes, _ = step(database, watch, connection)
            catalog = applied(catalog, changes)
            check(database, catalog, connection, watch, statements)


def test_renames_are_reported_as_pairs_and_as_changes(database):
    database.run("CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE u (id int PRIMARY KEY)")
    database.run("CREATE VIEW v AS SELECT a FROM t")
    with connected(database) as connection:
        watch = READER.watch(connection)
        database.run("ALTER TABLE t RENAME COLUMN a TO b")
        changes, renames = step(database, watch, connection)
        assert [(old.name, new.name) for old, new in renames] == [("public.t.a", "public.t.b")]
        assert {change.object.name for change in changes} == {"public.t.a", "public.t.b", "public.v"}
        database.run("ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; ALTER TABLE x RENAME TO u")
        _, renames = watch.step(connection)
        tables = {(old.name, new.name) for old, new in renames if old.kind == "table"}
        assert tables == {("public.t", "public.u"), ("public.u", "public.t")}
        database.run("CREATE TABLE z (id int PRIMARY KEY)")
        step(database, watch, connection)
        database.run("DROP TABLE z; CREATE TABLE z (id int PRIMARY KEY)")
        assert step(database, watch, connection)[0] == []


def test_what_the_watch_remembers_matches_the_catalog(database):
    database.run(BASE, role="postgres")
    with connected(database) as connection, connected(database) as other:
        watch = READER.watch(connection)
        database.run("CREATE TABLE again (id serial PRIMARY KEY, n int)", role="postgres")
        step(database, watch, connection)
        database.run("DROP TABLE again; CREATE TABLE again (id bigserial, m int UNIQUE)", role="postgres")
        step(database, watch, connection)
        differing = {}
        catalog = sorted(everything(database, connection))
        for one in [*catalog[::5], *(one for one in catalog if "again" in one.name)]:
            remembered, said = {*watch.there(connection, [one])}, {*READER.named(other, [one]).catalog}
            if remembered != said:
                differing[one] = (remembered - said, said - remembered)
        assert not differing
