"""PostgreSQL's catalogs: read equal in two databases, by name on a live one, through each driver."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from alembic_rescue.dialects.postgresql import catalog_columns
from alembic_rescue.dialects.postgresql.catalog import READER
from alembic_rescue.dialects.postgresql.catalog_columns import as_text, read_columns
from alembic_rescue.dialects.postgresql.catalog_query import Queries
from alembic_rescue.dialects.postgresql.session import literal, transaction
from alembic_rescue.evidence.observation import CatalogObject
from tests.conftest import fresh_database
from tests.test_postgresql_catalog_changes import BASE, connected, everything, step

BLOCKER = "holds or awaits a lock that shuts out reading it"
V = CatalogObject("view", "public.v")
CK = CatalogObject("table constraint", "ck on public.t", "public.t")
SPELLINGS = [
    (
        V,
        "definition",
        "SELECT id, a FROM public.t WHERE a > 18",
        " SELECT t.id, t.a FROM public.t WHERE (a > 18);",
        True,
    ),
    (V, "definition", "SELECT id, a FROM public.t WHERE a > 18", "SELECT id, a FROM public.t WHERE a > 19", False),
    (V, "definition", "SELECT id, a FROM public.t WHERE a > 18", "SELECT id, a FROM public.nothing", None),
    (
        CK,
        "definition",
        "CHECK (((e)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))",
        "CHECK (((e)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))",
        True,
    ),
    (CK, "definition", "CHECK (e IN ('a', 'b'))", "CHECK (e IN ('a', 'c'))", False),
    (CK, "definition", "PRIMARY KEY (id)", "PRIMARY KEY (a)", False),
    (
        CatalogObject("index", "public.ixp", "public.t"),
        "definition",
        "CREATE INDEX * ON public.t USING btree (a) WHERE (a > 10)",
        "CREATE INDEX * ON public.t (a) WHERE a > 10",
        True,
    ),
    (
        CatalogObject("default value", "for public.t.d", "public.t"),
        "default",
        "'2020-01-01'",
        "'2020-01-01'::date",
        True,
    ),
    (CatalogObject("default value", "for public.t.c", "public.t"), "default", "'%s?:x'", "'%s?:x'::text", True),
    (CatalogObject("default value", "for public.t.c", "public.t"), "default", "'%s?:x'", "'%s?:y'", False),
    (CatalogObject("policy", "p on public.t", "public.t"), "using", "a>1", "(a > 1)", True),
    (CatalogObject("policy", "p on public.t", "public.t"), "roles", "PUBLIC", "rescue_app", False),
    (
        CatalogObject("trigger", "trg on public.t", "public.t"),
        "definition",
        "CREATE TRIGGER * BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION public.f('x')",
        "CREATE TRIGGER * BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE PROCEDURE public.f('x')",
        True,
    ),
    (
        CatalogObject("function", "public.h(integer)"),
        "definition",
        "CREATE OR REPLACE FUNCTION public.h(i integer) RETURNS integer LANGUAGE sql RETURN (i + 1)",
        "CREATE OR REPLACE FUNCTION public.h(i integer) RETURNS integer LANGUAGE sql RETURN i + 1",
        True,
    ),
    (CatalogObject("table column", "public.t.a", "public.t"), "type", "integer", "bigint", False),
    (CatalogObject("type", "public.posint"), "default", "1", "(1)", True),
    (
        CatalogObject("domain constraint", "posint_check on public.posint", "public.posint"),
        "definition",
        "CHECK (VALUE>0)",
        "CHECK ((VALUE > 0))",
        True,
    ),
    (
        CatalogObject("statistics object", "public.st", "public.t"),
        "definition",
        "CREATE STATISTICS * ON a, b FROM public.t",
        "CREATE STATISTICS * ON b, a FROM public.t",
        True,
    ),
    (
        CatalogObject("rule", "r on public.loose", "public.loose"),
        "definition",
        "CREATE RULE * AS ON DELETE TO public.loose DO INSTEAD NOTHING",
        "CREATE RULE * AS ON DELETE TO public.loose DO NOTHING",
        False,
    ),
    (CatalogObject("table", "public.part_1"), "partition bound", "FOR VALUES IN (1)", "FOR VALUES IN ('1')", None),
]


@contextlib.contextmanager
def live(database, role="postgres"):
    """A connection like the live inspection's: in autocommit."""
    url = f"postgresql+psycopg2://{role}@/{database.name}?host={database.server.pgdata}&port={database.server.port}"
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def test_two_databases_of_the_same_history_have_equal_catalogs(any_server):
    with fresh_database(any_server) as one, fresh_database(any_server) as other:
        for number in range(5):  # so that no oid is the same
            other.run(f"CREATE TABLE x{number} (id serial PRIMARY KEY); DROP TABLE x{number}", role="postgres")
        one.run(BASE, role="postgres")
        other.run(BASE, role="postgres")
        with connected(one) as connection:
            expected = everything(one, connection)
        with live(other) as connection:
            reading = READER.named(connection, expected)
            assert {found: reading.catalog.get(found) for found in expected} == expected
            assert everything(other, connection) == expected
        assert reading.unread == ()


def test_an_extension_may_be_in_another_schema(server):
    made = "CREATE SCHEMA {0}; CREATE EXTENSION vector SCHEMA {0}; SET search_path = public, {0};"
    table = "CREATE TABLE t (v vector(3) DEFAULT '[1,2,3]'); CREATE INDEX i ON t USING hnsw (v vector_l2_ops);"
    view = "CREATE VIEW near AS SELECT v <-> '[1,2,3]' AS far FROM t"
    with fresh_database(server) as one, fresh_database(server) as other:
        one.run(made.format("ext") + table + view, role="postgres")
        other.run(made.format('"Other"') + table + view, role="postgres")
        with connected(one) as connection:
            expected = READER.everything(connection)
            near = CatalogObject("view", "public.near")
            text = expected[near]["definition"]
            assert READER.settle(connection, [(near, "definition", text, text.replace("far", "far "))]) == {
                (near, "definition"): True
            }
        with live(other) as connection:
            reading = READER.named(connection, [found for found in expected if found.name.startswith("public.")])
    differing = {found for found in reading.catalog if reading.catalog[found] != expected.get(found)}
    assert differing == set()
    assert near in reading.catalog


def test_what_belongs_to_a_table_is_read_with_it(database):
    database.run(BASE, role="postgres")
    with live(database) as connection:
        asked = [
            CatalogObject("table column", "public.t.a", "public.t"),
            CatalogObject("table", "public.nothing"),
            CatalogObject("enum label", "public.mood.a", "public.mood"),
        ]
        found = {each.name for each in READER.named(connection, asked).catalog}
    assert {"public.t", "public.t.b", "ck on public.t", "public.ix", "trg on public.t", "p on public.t"} <= found
    assert {"for public.t.d", "public.mood", "public.mood.b"} <= found
    assert not {"public.u", "public.v", "public.nothing"} & found


def test_a_locked_table_is_reported_as_unread_and_the_others_are_read(database):
    database.run(BASE, role="postgres")
    with live(database) as connection, database.session("postgres") as other:
        asked = everything(database, connection)
        with other.cursor() as cursor:
            cursor.execute("ALTER TABLE t ADD COLUMN x int")
        reading = READER.named(connection, asked)
        unread = {each.object.name for each in reading.unread}
        assert {"public.t", "public.t.a", "public.v", "public.vv", "ck on public.t"} <= unread
        assert all(each.reason == f"process {other.info.backend_pid} {BLOCKER}" for each in reading.unread)
        read = {found.name for found in reading.catalog}
        assert {"public.u", "public.w", "fk_t on public.w", "public.mood"} <= read
        assert read | unread >= {found.name for found in asked}
        other.rollback()
        assert READER.named(connection, asked).unread == ()


def test_a_role_without_privileges_reads_the_same(database):
    database.run(
        BASE + "CREATE TABLE s.hidden (id int PRIMARY KEY, a int CHECK (a > 5)); REVOKE ALL ON SCHEMA s FROM PUBLIC;"
        "CREATE VIEW s.hv AS SELECT * FROM s.hidden",
        role="postgres",
    )
    with connected(database) as connection:
        expected = everything(database, connection)
    with connected(database) as connection:
        connection.exec_driver_sql("SET SESSION AUTHORIZATION rescue_app")
        connection.commit()
        assert everything(database, connection) == expected
        watch = READER.watch(connection)
        database.run("CREATE TABLE s.more (id int)", role="postgres")
        changes, _ = step(database, watch, connection)
    assert [change.object.name for change in changes] == ["s.more", "s.more.id"]


def test_nothing_in_the_session_changes(database):
    database.run(BASE, role="postgres")
    asked = "SELECT current_setting('search_path'), current_setting('TimeZone'), current_setting('lock_timeout')"
    with live(database) as connection:
        before = connection.exec_driver_sql(asked).one()
        READER.named(connection, READER.everything(connection))
        READER.settle(connection, [spelling[:4] for spelling in SPELLINGS])
        assert connection.exec_driver_sql(asked).one() == before


@pytest.mark.parametrize(("found", "fact", "one", "other", "same"), SPELLINGS)
def test_two_spellings_are_settled_by_the_server(spelled, found, fact, one, other, same):
    assert READER.settle(spelled, [(found, fact, one, other)]) == {(found, fact): same}


@pytest.fixture(scope="module")
def spelled(server):
    with fresh_database(server) as database:
        database.run(BASE, role="postgres")
        database.run("CREATE FUNCTION h(i int) RETURNS int LANGUAGE sql RETURN i + 1", role="postgres")
        with connected(database) as connection:
            yield connection


def _all_of_it(database, connection):
    catalog = everything(database, connection)
    watch = READER.watch(connection)
    named = READER.named(connection, catalog)
    settled = READER.settle(connection, [spelling[:4] for spelling in SPELLINGS[:12]])
    return catalog, named, step(database, watch, connection), settled


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "pg8000", "asyncpg"])
def test_each_driver_reads_the_same(database, driver, autocommit):
    database.run(BASE + 'CREATE TABLE "odd % ? :x ""name""" (id int DEFAULT 5)', role="postgres")
    with connected(database) as connection:
        expected = _all_of_it(database, connection)
    host, port = quote(str(database.server.pgdata), safe=""), database.server.port
    options = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
    query = f"host={host}&port={port}"
    if driver == "pg8000":
        query = f"unix_sock={host}%2F.s.PGSQL.{port}"
    url = f"postgresql+{driver}://postgres@/{database.name}?{query}"
    if driver == "asyncpg":

        async def through() -> tuple:
            async with create_async_engine(url, poolclass=NullPool, **options).connect() as connection:
                return await connection.run_sync(lambda sync: _all_of_it(database, sync))

        assert asyncio.run(through()) == expected
    else:
        with create_engine(url, poolclass=NullPool, **options).connect() as connection:
            assert _all_of_it(database, connection) == expected


def test_every_column_is_a_fact_or_excluded_by_name(any_database):
    with connected(any_database) as connection, transaction(connection) as cursor:
        queries = Queries(columns := read_columns(cursor))
    unknown = []
    for source in queries.sources:
        read = {"x": source.relation, **{key.partition(".")[0]: merged for merged, key in source.merged.items()}}
        unknown += [
            f"{catalog}.{column.name}"
            for alias, catalog in read.items()
            for column in columns[catalog]
            if column.name not in {"oid", *source.left_out.split()}
            and column.type not in {"aclitem[]", "xid"}
            and as_text(column, alias, source.tree_relation) is None
        ]
    assert unknown == []


def test_before_postgresql_14_the_references_are_our_own(any_database, monkeypatch):
    """What 14 and later publish, and what is known of the versions before, make the same queries."""
    with connected(any_database) as connection, transaction(connection) as cursor:
        published = Queries(read_columns(cursor))
        monkeypatch.setattr(catalog_columns, "_FOREIGN_KEYS_PUBLISHED", 10**9)
        ours = Queries(read_columns(cursor))
        assert ours.objects() == published.objects()


@pytest.mark.parametrize("text", ["a", "it's", "%s", "?", ":x", "ü\\", 'a "b"', "$$", "a\nb"])
def test_literals_contain_nothing_that_a_driver_would_interpret(text):
    written = literal(text)
    assert not set("%?:$\\\n") & set(written)
    if not text.isalnum():
        assert bytes.fromhex(written.split("'")[1]).decode() == text
