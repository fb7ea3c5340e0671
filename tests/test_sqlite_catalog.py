"""SQLite's catalog: different definitions have different facts, and different spellings the same."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from alembic_rescue.dialects import of
from alembic_rescue.dialects.sqlite.catalog import DATABASE, READER
from alembic_rescue.dialects.sqlite.leftovers import left_over
from alembic_rescue.evidence.observation import CatalogObject


@contextlib.contextmanager
def database(*statements, path=""):
    engine = sa.create_engine(f"sqlite:///{path}" if path else "sqlite://")
    with engine.connect() as connection:
        run(connection, *statements)
        yield connection
    engine.dispose()


def run(connection, *statements):
    cursor = connection.connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    connection.connection.commit()


def catalog(*statements):
    with database(*statements) as connection:
        found = dict(READER.everything(connection))
    found.pop(DATABASE)
    return found


def column(name, table="t"):
    return CatalogObject("table column", f"{table}.{name}", table)


def constraint(name, table="t"):
    return CatalogObject("table constraint", f"{name} on {table}", table)


def test_each_part_of_a_definition_is_a_fact():
    found = catalog(
        """
        CREATE TABLE IF NOT EXISTS t (
            id INTEGER PRIMARY KEY AUTOINCREMENT, -- the key
            a VARCHAR(20) COLLATE nocase CONSTRAINT nn NOT NULL ON CONFLICT IGNORE DEFAULT -5 CONSTRAINT uq UNIQUE,
            b AS (a || 'x') STORED, c GENERATED ALWAYS AS (a), "the d" DECIMAL (10,2) NULL DEFAULT (1+2),
            e REFERENCES u ON DELETE SET NULL ON UPDATE SET DEFAULT NOT DEFERRABLE INITIALLY IMMEDIATE NOT NULL,
            f DEFAULT NULL CHECK (f IN (1, 2)),
            CONSTRAINT fk FOREIGN KEY (a) REFERENCES u (a) ON DELETE SET NULL CONSTRAINT ck CHECK (b <> ',(')
            UNIQUE (a, c)
        )
        """
    )
    unnamed_key = (
        "FOREIGN KEY (e) REFERENCES u ON DELETE SET NULL ON UPDATE SET DEFAULT NOT DEFERRABLE INITIALLY IMMEDIATE"
    )
    assert found == {
        CatalogObject("table", "t"): {},
        column("id"): {"type": "INTEGER"},
        constraint("PRIMARY KEY (id AUTOINCREMENT)"): {"definition": "PRIMARY KEY (id AUTOINCREMENT)"},
        column("a"): {
            "type": "VARCHAR(20)",
            "collation": "nocase",
            "not null": "ON CONFLICT IGNORE",
            "default": "-5",
        },
        constraint("uq"): {"definition": "UNIQUE (a)"},
        column("b"): {"generated": "(a || 'x') STORED"},
        column("c"): {"generated": "(a) VIRTUAL"},
        column('"the d"'): {"type": "DECIMAL(10, 2)", "default": "(1 + 2)"},
        column("e"): {"not null": "true"},
        constraint(unnamed_key): {"definition": unnamed_key},
        column("f"): {"default": "NULL"},
        constraint("CHECK (f IN (1, 2))"): {"definition": "CHECK (f IN (1, 2))"},
        constraint("fk"): {"definition": "FOREIGN KEY (a) REFERENCES u(a) ON DELETE SET NULL"},
        constraint("ck"): {"definition": "CHECK (b <> ',(')"},
        constraint("UNIQUE (a, c)"): {"definition": "UNIQUE (a, c)"},
    }


def test_other_objects_have_their_text_without_their_name():
    found = catalog(
        "CREATE TABLE main.t (a INT, PRIMARY KEY (a)) STRICT, WITHOUT ROWID",
        "CREATE UNIQUE INDEX IF NOT EXISTS main.ix ON t (a, lower(a) DESC) WHERE a > 1",
        "CREATE TRIGGER IF NOT EXISTS tr AFTER UPDATE OF a ON t BEGIN UPDATE t SET a = 1; END",
        "CREATE VIEW v AS SELECT /* all */ a FROM t",
        "CREATE VIEW w (q) AS SELECT a FROM t",
        "CREATE VIRTUAL TABLE f USING fts5(a, b)",
    )
    assert found[CatalogObject("table", "t")] == {"strict": "true", "without rowid": "true"}
    assert found[CatalogObject("index", "ix", "t")] == {
        "definition": "CREATE UNIQUE INDEX * ON t(a, lower(a) DESC) WHERE a > 1"
    }
    assert found[CatalogObject("trigger", "tr on t", "t")] == {
        "definition": "CREATE TRIGGER tr AFTER UPDATE OF a ON t BEGIN UPDATE t SET a = 1; END"
    }
    assert found[CatalogObject("view", "v")] == {"definition": "SELECT a FROM t"}
    assert found[CatalogObject("view", "w")] == {"columns": "(q)", "query": "SELECT a FROM t"}
    assert found[CatalogObject("virtual table", "f")] == {"definition": "CREATE VIRTUAL TABLE f USING fts5(a, b)"}


TABLES = [
    "id INTEGER",
    "id INT",
    "id INTEGER NOT NULL",
    "id INTEGER PRIMARY KEY",
    "id INTEGER PRIMARY KEY DESC",
    "id INTEGER PRIMARY KEY AUTOINCREMENT",
    "id INTEGER UNIQUE",
    "id INTEGER UNIQUE ON CONFLICT REPLACE",
    "id INTEGER DEFAULT 1",
    "id INTEGER DEFAULT '1'",
    "id INTEGER DEFAULT -1",
    "id INTEGER DEFAULT (1 + 0)",
    "id INTEGER DEFAULT 'a  b'",
    "id INTEGER DEFAULT 'a b'",
    "id INTEGER DEFAULT 'A b'",
    "id INTEGER COLLATE nocase",
    "id INTEGER COLLATE rtrim",
    "id INTEGER CHECK (id > 1)",
    "id INTEGER CHECK (id > 2)",
    "id INTEGER CHECK (id > '2')",
    "id INTEGER CHECK (id >= 2)",
    'id INTEGER CHECK (id > "x y")',
    "id INTEGER CHECK (id IS NULL)",
    'id INTEGER, "null" INT CHECK (id IS "null")',
    "id INTEGER, CONSTRAINT a CHECK (id > 1)",
    "id INTEGER, CONSTRAINT b CHECK (id > 1)",
    "id INTEGER REFERENCES u",
    "id INTEGER REFERENCES u (id)",
    "id INTEGER REFERENCES u ON DELETE CASCADE",
    "id INTEGER REFERENCES u ON DELETE SET NULL",
    "id INTEGER REFERENCES u DEFERRABLE INITIALLY DEFERRED",
    "id INTEGER, b INT AS (id)",
    "id INTEGER, b INT AS (id) STORED",
    "id INTEGER, b INT AS (id + 1)",
    "id INTEGER, b INT",
    "id INTEGER, c INT",
    "id INTEGER, b INT, UNIQUE (id, b)",
    "id INTEGER, b INT, UNIQUE (b, id)",
    "id INTEGER, b INT, PRIMARY KEY (id, b)",
]
OPTIONS = ["", " STRICT"]
WITH_TABLE = [
    *(
        f"CREATE {unique}INDEX i ON t ({columns}){condition}"
        for unique in ("", "UNIQUE ")
        for columns in (
            "a",
            "b",
            "a, b",
            "b, a",
            "a DESC",
            "a COLLATE nocase",
            "lower(a)",
            "upper(a)",
            "a + 1",
            "a - 1",
        )
        for condition in ("", " WHERE a > 1", " WHERE a > 1 AND b", " WHERE a > 1 OR b")
    ),
    *(
        f"CREATE VIEW v{columns} AS SELECT {what} FROM {source}"
        for columns in ("", " (x)")
        for what in (
            "a",
            "b",
            "DISTINCT a",
            "a AS b",
            "count(*)",
            "'a'",
            "a + -1",
            "a - 1",
            "(a) - 1",
            "a || ' '",
            "a || '  '",
        )
        for source in ("t", "t WHERE a", "t WHERE NOT a", "t LIMIT 1")
    ),
    *(
        f"CREATE TRIGGER r {when} ON t {condition}BEGIN {body}; END"
        for when in ("BEFORE INSERT", "AFTER INSERT", "AFTER DELETE", "AFTER UPDATE", "AFTER UPDATE OF a")
        for condition in ("", "WHEN 1 ", "WHEN 2 ")
        for body in (
            "DELETE FROM t",
            "DELETE FROM t WHERE a",
            "DELETE FROM t; DELETE FROM t",
            "SELECT raise(ABORT, 'x')",
        )
    ),
]


def test_no_two_definitions_are_the_same():
    tables = [catalog(f"CREATE TABLE t ({text}){option}") for text in TABLES for option in OPTIONS]
    others = [catalog("CREATE TABLE t (a INT, b INT)", text) for text in WITH_TABLE]
    for one, other in [*itertools.combinations(tables, 2), *itertools.combinations(others, 2)]:
        assert one != other


SAME = [
    ("CREATE TABLE t (a INT DEFAULT (-1), b DEFAULT ('x'))", "CREATE TABLE t (a INT DEFAULT - 1, b DEFAULT 'x')"),
    ("CREATE TABLE t (a INT, b TEXT)", 'create table "t"([a] int,`b`  "TEXT" ) -- made by hand'),
    ("CREATE TABLE t (a INT, UNIQUE (a))", "CREATE TABLE t (a INT UNIQUE)"),
    ("CREATE TABLE t (a INT, CONSTRAINT u UNIQUE (a))", "CREATE TABLE t (a INT CONSTRAINT u UNIQUE)"),
    ("CREATE TABLE t (a INT, PRIMARY KEY (a))", "CREATE TABLE t (a INT PRIMARY KEY ASC)"),
    ("CREATE TABLE t (a INT, FOREIGN KEY(a) REFERENCES u (a))", 'CREATE TABLE t (a INT REFERENCES "u"("a"))'),
    ("CREATE TABLE t (a INT CHECK(a>-1))", "CREATE TABLE t (a INT, CHECK ( a > -1 ))"),
    ("CREATE TABLE t (a INT AS (b + 1) VIRTUAL, b)", "CREATE TABLE t (a INT GENERATED ALWAYS AS (b+1), b)"),
    ("CREATE TABLE t (a PRIMARY KEY) WITHOUT ROWID", "CREATE TABLE t (a PRIMARY KEY) without  rowid"),
    ("CREATE TABLE t (a INT NULL)", "CREATE TABLE t (a INT)"),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=[one for one, _ in SAME])
def test_another_spelling_is_the_same(one, other):
    assert catalog(one) == catalog(other)


def test_a_rename_leaves_the_same_as_creating_it_so():
    renamed = catalog(
        "CREATE TABLE a (x INT, y INT CHECK (y > x), UNIQUE (x, y))",
        "CREATE TABLE child (a_x INT REFERENCES a (x))",
        "CREATE INDEX i ON a (x) WHERE y > 1",
        "CREATE TRIGGER tr AFTER INSERT ON a BEGIN UPDATE a SET x = new.y; END",
        "CREATE VIEW v AS SELECT x, y AS z FROM a",
        "ALTER TABLE a RENAME TO b",
        "ALTER TABLE b RENAME COLUMN x TO w",
        "ALTER TABLE b ADD COLUMN n TEXT NOT NULL DEFAULT 'n'",
    )
    made = catalog(
        "CREATE TABLE b (w INT, y INT CHECK (y > w), n TEXT NOT NULL DEFAULT 'n', UNIQUE (w, y))",
        "CREATE TABLE child (a_x INT REFERENCES b (w))",
        "CREATE INDEX i ON b (w) WHERE y > 1",
        "CREATE TRIGGER tr AFTER INSERT ON b BEGIN UPDATE b SET w = new.y; END",
        "CREATE VIEW v AS SELECT w, y AS z FROM b",
    )
    assert renamed == made


def test_batch_mode_leaves_the_same_as_creating_it_so():
    with database() as connection:
        operations = Operations(MigrationContext.configure(connection))
        operations.create_table(
            "users",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("order", sa.String(50)),
            sa.Column("at", sa.DateTime, server_default=sa.func.now()),
            sa.Column("weight", sa.Float),
            sa.UniqueConstraint("order", name="uq_users"),
        )
        operations.create_index("ix_users_at", "users", ["at"])
        with operations.batch_alter_table("users") as batch:
            batch.alter_column("order", existing_type=sa.String(50), type_=sa.String(80), nullable=False)
            batch.drop_column("weight")
            batch.create_check_constraint("ck_users", "id > 0")
        altered = dict(READER.everything(connection))
    with database() as connection:
        operations = Operations(MigrationContext.configure(connection))
        operations.create_table(
            "users",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("order", sa.String(80), nullable=False),
            sa.Column("at", sa.DateTime, server_default=sa.func.now()),
            sa.UniqueConstraint("order", name="uq_users"),
            sa.CheckConstraint("id > 0", name="ck_users"),
        )
        operations.create_index("ix_users_at", "users", ["at"])
        made = dict(READER.everything(connection))
    assert altered == made


@pytest.mark.parametrize("text", TABLES)
def test_the_columns_are_those_that_sqlite_reports(text):
    with database(f"CREATE TABLE t ({text})") as connection:
        told = connection.exec_driver_sql("PRAGMA table_xinfo(t)").all()
        found = READER.everything(connection)
    columns = {one.name: facts for one, facts in found.items() if one.kind == "table column"}
    assert [f"t.{row.name}" for row in told] == list(columns)
    for row in told:
        facts = columns[f"t.{row.name}"]
        assert (row.type, bool(row.notnull)) == (facts.get("type", ""), "not null" in facts)
        assert (row.dflt_value or "").strip("()") == facts.get("default", "").strip("()")
        assert (row.hidden > 1) == ("generated" in facts)


def test_a_watch_reports_what_changed_and_what_was_renamed():
    with database("CREATE TABLE a (x INT, y INT, n)", "CREATE INDEX i ON a (x)") as connection:
        watch = READER.watch(connection)
        assert watch.step(connection) == ((), ())
        run(connection, "INSERT INTO a VALUES (1, 2, 3)", "CREATE TEMP TABLE a (z)")
        assert watch.step(connection) == ((), ())
        run(connection, "DROP TABLE temp.a", "ALTER TABLE a RENAME TO b", "ALTER TABLE b RENAME COLUMN x TO z")
        changes, renames = watch.step(connection)
        table = CatalogObject("table", "a"), CatalogObject("table", "b")
        index = CatalogObject("index", "i", "a"), CatalogObject("index", "i", "b")
        columns = [(column(one, "a"), column(other, "b")) for one, other in (("x", "z"), ("y", "y"), ("n", "n"))]
        assert {change.object for change in changes} >= {*table, *index, *itertools.chain(*columns)}
        assert set(renames) == {table, index, *columns}
        run(connection, "ALTER TABLE b RENAME TO a", "PRAGMA user_version = 3")
        changes, renames = watch.step(connection)
        assert {table[::-1], index[::-1], (columns[1][::-1])} < set(renames)
        assert next(change for change in changes if change.object == DATABASE).after["user_version"] == "3"
        run(connection, "ALTER TABLE a RENAME COLUMN z TO x")
        changes, renames = watch.step(connection)
        assert renames == ((column("z", "a"), column("x", "a")),)
        assert next(change for change in changes if change.object == index[0]).after == {
            "definition": "CREATE INDEX * ON a(x)"
        }
        run(connection, "DROP TABLE a", "CREATE TABLE c (x TEXT, y INT, n)")
        assert watch.step(connection)[1] == ()


def test_a_table_is_read_with_everything_that_belongs_to_it_and_nothing_else():
    statements = [
        "CREATE TABLE t (a INT UNIQUE)",
        "CREATE INDEX i ON t (a)",
        "CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE TABLE other (a INT)",
        "CREATE VIEW v AS SELECT 1",
    ]
    whole = catalog(*statements)
    with database(*statements) as connection:
        for asked in (CatalogObject("table", "t"), column("b"), CatalogObject("index", "j", "t"), constraint("x")):
            reading = READER.named(connection, [asked])
            assert set(reading.catalog) == {one for one in whole if "t" in {one.name, one.parent}}
        assert set(READER.named(connection, [CatalogObject("view", "v")]).catalog) == {CatalogObject("view", "v")}
        assert READER.named(connection, [CatalogObject("view", "w")]).catalog == {}
        assert set(READER.named(connection, [CatalogObject("", "public.v")]).catalog) == {CatalogObject("view", "v")}
        assert set(READER.named(connection, [DATABASE]).catalog) == {DATABASE}


def test_a_batch_leftover_is_read_with_its_table_and_reported_with_its_remedy():
    with database(
        "CREATE TABLE tokens (a INT)",
        "CREATE TABLE _alembic_tmp_tokens (a INT, b INT)",
        "CREATE TABLE _alembic_tmp_x (a)",
    ) as connection:
        reading = READER.named(connection, [column("a", "tokens")])
        (left,) = left_over(reading.catalog)
        assert (left.table, left.copy, left.holds_the_rows) == ("tokens", "_alembic_tmp_tokens", False)
        assert left.sql == 'DROP TABLE "_alembic_tmp_tokens"'
        run(connection, "DROP TABLE tokens")
        (left,) = left_over(READER.named(connection, [CatalogObject("table", "tokens")]).catalog)
        assert left.holds_the_rows
        run(connection, left.sql)
        reading = READER.named(connection, [CatalogObject("table", "tokens")])
        assert column("b", "tokens") in reading.catalog
        assert list(left_over(reading.catalog)) == []


def test_a_file_that_somebody_else_is_writing_is_reported_as_unread(tmp_path):
    path = tmp_path / "shop.db"
    with database("CREATE TABLE t (a INT)", path=path) as connection:
        run(connection, "PRAGMA busy_timeout = 10")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            reading = READER.named(connection, [column("a")])
        assert (reading.catalog, [unread.object for unread in reading.unread]) == ({}, [column("a")])
        assert "database is locked" in reading.unread[0].reason


@pytest.mark.parametrize(
    ("kind", "fact", "one", "other", "same"),
    [
        ("index", "definition", "CREATE INDEX * ON t(a)", "CREATE INDEX * ON T(A)", True),
        ("index", "definition", "CREATE INDEX * ON t(a)", "CREATE INDEX * ON t(b)", False),
        ("index", "definition", "CREATE INDEX * ON t(a)", "CREATE UNIQUE INDEX * ON t(a)", False),
        ("index", "definition", "CREATE INDEX * ON t(a)", "CREATE INDEX * ON t(a ASC)", None),
        ("index", "definition", "CREATE INDEX * ON t(lower(a))", "CREATE INDEX * ON t(upper(a))", None),
        ("index", "definition", "CREATE INDEX * ON t(a) WHERE a", "CREATE INDEX * ON t(a)", None),
        ("table constraint", "definition", "FOREIGN KEY (a) REFERENCES t(a)", "FOREIGN KEY (a) REFERENCES u(a)", False),
        ("table constraint", "definition", "UNIQUE (a, b)", "UNIQUE (b, a)", False),
        ("table constraint", "definition", "CHECK (a > 1)", "CHECK (1 < a)", None),
        ("table constraint", "definition", "CHECK (a = 'x')", "CHECK (a = 'X')", None),
        ("table column", "default", "1", "1.0", True),
        ("table column", "default", "1", "2", False),
        ("table column", "default", "'a'", "'A'", False),
        ("table column", "default", "1", "'1'", None),
        ("table column", "default", "1", "true", None),
        ("view", "definition", "SELECT a FROM t", "select A from T", True),
        ("view", "definition", "SELECT a FROM t", "SELECT t.a FROM t", None),
    ],
)
def test_two_texts_are_compared_as_far_as_their_words_go(kind, fact, one, other, same):
    it = CatalogObject(kind, "it")
    with database() as connection:
        assert READER.settle(connection, [(it, fact, one, other)]) == {(it, fact): same}


def test_the_registry_knows_sqlite():
    assert of("sqlite").reader is READER
