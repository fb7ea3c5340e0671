"""The catalog of MySQL and MariaDB: from the servers' own texts, and from a real MariaDB."""

from __future__ import annotations

import contextlib
import itertools
import re
import textwrap
import threading
import time

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from alembic_rescue.dialects import of
from alembic_rescue.dialects.mysql import definitions
from alembic_rescue.dialects.mysql.catalog import DATABASE, READER
from alembic_rescue.evidence.observation import CatalogObject
from tests import mariadb
from tests.dialect_chains import EVERYWHERE, ON_MARIADB

COLLATIONS = {"utf8mb4": "utf8mb4_0900_ai_ci", "latin1": "latin1_swedish_ci"}


def column(name, table="t"):
    return CatalogObject("table column", f"{table}.{name}", table)


def constraint(name, table="t"):
    return CatalogObject("table constraint", f"{name} on {table}", table)


def index(name, table="t"):
    return CatalogObject("index", f"{name} on {table}", table)


# --- texts ------------------------------------------------------------------------------------------------------

MYSQL_8 = """
    CREATE TABLE `t` (
      `id` int unsigned NOT NULL AUTO_INCREMENT,
      `order` varchar(20) CHARACTER SET latin1 NOT NULL DEFAULT 'a''b' COMMENT 'which; one',
      `kind` enum('x','y, (z') COLLATE utf8mb4_bin DEFAULT NULL,
      `at` timestamp NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
      `twice` bigint GENERATED ALWAYS AS ((`id` * 2)) STORED,
      `spot` point NOT NULL /*!80003 SRID 4326 */,
      `x` int DEFAULT (rand()) /*!80023 INVISIBLE */,
      PRIMARY KEY (`id`),
      UNIQUE KEY `uq` (`kind`,`id`),
      KEY `by_order` (`order`(5) DESC,(lower(`kind`))) USING BTREE COMMENT 'c' /*!80000 INVISIBLE */,
      FULLTEXT KEY `words` (`order`) /*!50100 WITH PARSER `ngram` */ ,
      CONSTRAINT `fk` FOREIGN KEY (`id`) REFERENCES `u` (`id`) ON DELETE CASCADE,
      CONSTRAINT `ck` CHECK ((`id` > 0)) /*!80016 NOT ENFORCED */
    ) /*!50100 TABLESPACE `ts` */ ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 ROW_FORMAT=DYNAMIC
    COMMENT='it''s'
    /*!50100 PARTITION BY HASH (`id`)
    PARTITIONS 4 */
    """


def test_every_part_of_a_table_is_a_fact():
    assert definitions.table("t", MYSQL_8, COLLATIONS) == {
        CatalogObject("table", "t"): {
            "engine": "InnoDB",
            "character set": "utf8mb4",
            "collation": "utf8mb4_0900_ai_ci",
            "comment": "'it''s'",
            "options": "ROW_FORMAT=DYNAMIC",
            "tablespace": "`ts`",
            "partition key": "PARTITION BY HASH (`id`) PARTITIONS 4",
        },
        column("id"): {"type": "int unsigned", "not null": "true", "auto increment": "true"},
        column("order"): {
            "type": "varchar(20)",
            "character set": "latin1",
            "collation": "latin1_swedish_ci",
            "not null": "true",
            "default": "'a''b'",
            "comment": "'which; one'",
        },
        column("kind"): {"type": "enum('x','y, (z')", "collation": "utf8mb4_bin"},
        column("at"): {"type": "timestamp", "default": "CURRENT_TIMESTAMP", "on update": "CURRENT_TIMESTAMP"},
        column("twice"): {"type": "bigint", "generated": "((`id` * 2)) STORED"},
        column("spot"): {"type": "point", "not null": "true", "definition": "SRID 4326"},
        column("x"): {"type": "int", "default": "(rand())", "invisible": "true"},
        constraint("PRIMARY"): {"definition": "PRIMARY KEY (`id`)"},
        index("uq"): {"definition": "CREATE UNIQUE INDEX * ON `t` (`kind`,`id`)"},
        index("by_order"): {
            "definition": "CREATE INDEX * ON `t` (`order`(5) DESC,(lower(`kind`))) USING BTREE INVISIBLE",
            "comment": "'c'",
        },
        index("words"): {"definition": "CREATE FULLTEXT INDEX * ON `t` (`order`) WITH PARSER `ngram`"},
        constraint("fk"): {"definition": "FOREIGN KEY (`id`) REFERENCES `u` (`id`) ON DELETE CASCADE"},
        constraint("ck"): {"definition": "CHECK ((`id` > 0)) NOT ENFORCED"},
    }


def test_the_counter_is_data():
    assert definitions.table("t", MYSQL_8.replace("AUTO_INCREMENT=7 ", ""), {}) == definitions.table("t", MYSQL_8, {})


def test_a_columns_collation_is_its_tables_if_none_is_written():
    def of_column(options):
        shown = f"CREATE TABLE `t` (\n  `a` varchar(9) DEFAULT NULL,\n  `b` int DEFAULT NULL\n) ENGINE=InnoDB {options}"
        found = definitions.table("t", shown, COLLATIONS)
        assert "collation" not in found[column("b")]
        return found[column("a")]["collation"]

    assert of_column("DEFAULT CHARSET=utf8mb4") == "utf8mb4_0900_ai_ci"
    assert of_column("DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin") == "utf8mb4_bin"
    assert of_column("DEFAULT CHARSET=ucs2") == "ucs2"


def test_an_unknown_line_is_kept_whole():
    one = definitions.table("t", "CREATE TABLE `t` (\n  `a` int FANCY (1),\n  FANCY `x`\n) ENGINE=E FANCY 1", {})
    assert one[column("a")] == {"type": "int FANCY (1)"}
    assert one[CatalogObject("table", "t")] == {"definition": "FANCY 1, FANCY `x`", "engine": "E", "collation": ""}


def test_a_views_owner_and_algorithm_are_separate_facts():
    head = "CREATE ALGORITHM=MERGE DEFINER=`a`@`b` SQL SECURITY INVOKER VIEW `v`"
    facts = {"algorithm": "MERGE", "owner": "`a`@`b`", "security": "INVOKER"}
    assert definitions.view(f"{head} AS select 1 AS `as`") == {**facts, "definition": "select 1 AS `as`"}
    assert definitions.view(f"{head} (`x`) AS select 1") == {**facts, "query": "select 1", "columns": "(`x`)"}


def test_an_events_start_is_a_circumstance_and_whether_it_runs_is_not():
    starts, disabled = " STARTS '2026-11-26 01:20:19'", " DISABLE ON SLAVE"
    shown = f"EVENT `e` ON SCHEDULE EVERY 1 DAY{starts} ON COMPLETION PRESERVE{disabled} DO BEGIN CALL enable(); END"
    assert definitions.event(f"CREATE DEFINER=`a`@`%` {shown}") == {
        "definition": f"CREATE {shown.replace(starts, '').replace(disabled, '')}",
        "options": "STARTS '2026-11-26 01:20:19'",
        "enabled": "DISABLE ON SLAVE",
        "owner": "`a`@`%`",
    }


# --- a real server ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def connected(url):
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@pytest.fixture
def database(mariadb_server):
    with mariadb.fresh_database(mariadb_server) as database:
        yield database


@pytest.fixture
def connection(database):
    with connected(
        f"mysql+pymysql://root@localhost/{database.name}?unix_socket={database.server.socket}"
    ) as connection:
        yield connection


def everything(connection):
    found = dict(READER.everything(connection))
    found.pop(DATABASE)
    return found


COLUMNS = [
    *(
        f"{type_}{not_null}{default}{comment}"
        for type_ in ("INT", "INT UNSIGNED", "BIGINT", "VARCHAR(10)", "CHAR(10)", "CHAR(10) COLLATE utf8mb4_bin")
        for not_null in ("", " NOT NULL")
        for default in ("", " DEFAULT 1", " DEFAULT 2")
        for comment in ("", " COMMENT 'x'")
    ),
    "TIMESTAMP DEFAULT CURRENT_TIMESTAMP",
    "TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
    "TIMESTAMP DEFAULT '2020-01-01'",
    "DATETIME",
    "DATETIME(3)",
    "ENUM('a', 'b')",
    "ENUM('b', 'a')",
    "SET('a', 'b')",
    "INT INVISIBLE",
    "INT CHECK (a > 1)",
    "INT AS (a) STORED",
    "INT AS (a) VIRTUAL",
    "INT AS (a + 1) VIRTUAL",
    "JSON",
    "TEXT",
    "TEXT COMPRESSED",
]
KEYS = [
    *(
        f"{kind} %s ({columns})"
        for kind in ("KEY", "UNIQUE KEY")
        for columns in ("a", "b", "a, b", "b, a", "c(5)", "c(6)", "a, b, c(2)")
    ),
    "FULLTEXT KEY %s (c)",
    "KEY %s (a) COMMENT 'x'",
    "KEY %s (a) IGNORED",
    *(f"CONSTRAINT %s CHECK ({what})" for what in ("a > 1", "a > 2", "a > '1'", "a IS NULL", "a > 1 OR b")),
    *(
        f"CONSTRAINT %s FOREIGN KEY ({columns}) REFERENCES p (id){what}"
        for columns in ("d", "e")
        for what in ("", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON UPDATE CASCADE")
    ),
]
TABLES = [
    "(a INT)",
    "(a INT) ENGINE = Aria",
    "(a INT) COLLATE utf8mb4_bin",
    "(a INT) CHARACTER SET latin1",
    "(a INT) COMMENT = 'x'",
    "(a INT) ROW_FORMAT = COMPRESSED",
    "(a INT) WITH SYSTEM VERSIONING",
    "(a INT) PARTITION BY HASH (a) PARTITIONS 2",
    "(a INT) PARTITION BY HASH (a) PARTITIONS 3",
    "(a DATE, b DATE, PERIOD FOR x (a, b))",
]
OTHERS = [
    "VIEW %s AS SELECT a FROM t",
    "VIEW %s AS SELECT b FROM t",
    "VIEW %s AS SELECT a AS b FROM t",
    "VIEW %s AS SELECT a FROM t WHERE a",
    "VIEW %s AS SELECT a FROM t WHERE NOT a",
    "SQL SECURITY INVOKER VIEW %s AS SELECT a FROM t",
    "ALGORITHM = MERGE VIEW %s AS SELECT a FROM t",
    "TRIGGER %s BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
    "TRIGGER %s BEFORE INSERT ON t FOR EACH ROW SET @a = 2",
    "TRIGGER %s AFTER INSERT ON t FOR EACH ROW SET @a = 1",
    "TRIGGER %s BEFORE UPDATE ON t FOR EACH ROW SET @a = 1",
    "PROCEDURE %s() DO 1",
    "PROCEDURE %s() DO 2",
    "PROCEDURE %s(x INT) DO 1",
    "PROCEDURE %s() SQL SECURITY INVOKER DO 1",
    "FUNCTION %s() RETURNS INT RETURN 1",
    "FUNCTION %s() RETURNS INT DETERMINISTIC RETURN 1",
    "FUNCTION %s() RETURNS BIGINT RETURN 1",
    "EVENT %s ON SCHEDULE EVERY 1 DAY DO DO 1",
    "EVENT %s ON SCHEDULE EVERY 1 DAY DISABLE DO DO 1",
    "EVENT %s ON SCHEDULE EVERY 2 DAY DO DO 1",
    "SEQUENCE %s",
    "SEQUENCE %s INCREMENT BY 2",
    "SEQUENCE %s CYCLE",
    "SEQUENCE %s CACHE 7",
]


def test_no_two_definitions_are_the_same(database, connection):
    columns = ", ".join(f"c{number} {text}" for number, text in enumerate(COLUMNS))
    keys = ", ".join(text % f"n{number}" for number, text in enumerate(KEYS))
    statements = [
        "CREATE TABLE p (id INT PRIMARY KEY)",
        f"CREATE TABLE columns_ (a INT, {columns})",
        f"CREATE TABLE t (a INT, b INT, c VARCHAR(20), d INT, e INT, {keys})",
        *(f"CREATE TABLE n{number} {text}" for number, text in enumerate(TABLES)),
        *(f"CREATE {text % f'o{number}'}" for number, text in enumerate(OTHERS)),
    ]
    database.run(*statements)
    made = everything(connection)
    kinds = {one.kind for one in made}
    assert kinds == {
        "table",
        "table column",
        "table constraint",
        "index",
        *{text.split()[0].lower() for text in OTHERS[7:]},
        "view",
    }
    for kind in kinds:
        alike = [_nameless(one, facts) for one, facts in made.items() if one.kind == kind and _is_a_case(one)]
        assert len(alike) > 2, kind
        for one, other in itertools.combinations(alike, 2):
            assert one != other


def _is_a_case(one):
    own = re.search(r"\b[cno]\d+\b", one.name)
    by_key = one.kind == "index" and (own is None or int(own[0][1:]) >= 17)  # an index that comes with a foreign key
    return own is not None and not by_key and (one.kind != "table column" or one.parent == "columns_")


def _nameless(one, facts):
    own = re.search(r"\b[cno]\d+\b", one.name)[0]
    circumstance = {"position"} if one.kind == "table" else {"position", "options"}
    return {fact: re.sub(rf"\b{own}\b", "*", text) for fact, text in facts.items() if fact not in circumstance}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """The configuration of a project of typical migrations, for any database."""
    root = tmp_path_factory.mktemp("chain")
    (root / "versions").mkdir()
    (root / "env.py").write_text(ENV)
    down = None
    for name, body in {**EVERYWHERE, **ON_MARIADB}.items():
        head = f"import sqlalchemy as sa\nfrom alembic import op\nrevision = {name!r}\ndown_revision = {down!r}\n"
        (root / "versions" / f"{name}.py").write_text(head + textwrap.dedent(body))
        down = name

    def config_for(url) -> Config:
        config = Config()
        config.set_main_option("script_location", str(root))
        config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
        return config

    return config_for


ENV = """
from alembic import context
from sqlalchemy import create_engine

with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
DAMAGE = [
    # (what is done by hand, the object whose facts differ)
    ("ALTER TABLE users DROP COLUMN color", column("color", "users")),
    ("ALTER TABLE users MODIFY age SMALLINT NOT NULL DEFAULT 1", column("age", "users")),
    ("ALTER TABLE users MODIFY age BIGINT NOT NULL DEFAULT 1", column("age", "users")),
    ("ALTER TABLE users MODIFY name VARCHAR(80) COLLATE utf8mb4_bin NULL", column("name", "users")),
    ("ALTER TABLE users DROP INDEX email", index("email", "users")),
    ("ALTER TABLE users DROP INDEX ix_users_name, ADD INDEX ix_users_name (email)", index("ix_users_name", "users")),
    (
        "ALTER TABLE users DROP CONSTRAINT ck_users_score, ADD CONSTRAINT ck_users_score CHECK (score > 0)",
        constraint("ck_users_score", "users"),
    ),
    ("ALTER TABLE users DROP CONSTRAINT ck_users_score", constraint("ck_users_score", "users")),
    ("ALTER TABLE purchases DROP FOREIGN KEY fk_purchases_user", constraint("fk_purchases_user", "purchases")),
    ("ALTER TABLE purchases MODIFY state ENUM('new','paid') NOT NULL", column("state", "purchases")),
    ("ALTER TABLE purchases COMMENT = ''", CatalogObject("table", "purchases")),
    ("ALTER TABLE items MODIFY id INT UNSIGNED NOT NULL", column("id", "items")),
    ("ALTER TABLE items DROP INDEX ix_items_prefix", index("ix_items_prefix", "items")),
    ("ALTER TABLE items DROP INDEX words", index("words", "items")),
    ("DROP TRIGGER t", CatalogObject("trigger", "t on items", "items")),
    ("ALTER TABLE tags ENGINE = InnoDB", CatalogObject("table", "tags")),
    ("ALTER TABLE days DROP PRIMARY KEY", constraint("PRIMARY", "days")),
    ("DROP TABLE marks", CatalogObject("table", "marks")),
    ("DROP VIEW grown_users", CatalogObject("view", "grown_users")),
    ("CREATE TABLE staging (id INT)", CatalogObject("table", "staging")),
    ("CREATE INDEX by_position ON items (kind)", index("by_position", "items")),
]


@pytest.mark.slow
def test_two_databases_of_one_chain_are_equal_and_later_changes_are_reported(mariadb_server, chain):
    told = {}
    with mariadb.fresh_database(mariadb_server) as one, mariadb.fresh_database(mariadb_server) as other:
        with connected(one.url) as connection:
            watch = READER.watch(connection)
            for name in {**EVERYWHERE, **ON_MARIADB}:
                command.upgrade(chain(one.url), name)
                told[name] = watch.step(connection)
            found = everything(connection)
        assert one.name not in repr(found)
        command.upgrade(chain(other.url), "head")
        with connected(other.url) as connection:
            watch = READER.watch(connection)
            assert everything(connection) == found
            for damage, named in DAMAGE:
                other.run(damage)
                changes, _ = watch.step(connection)
                assert named in {change.object for change in changes}, damage
                assert {change.object.parent or change.object.name for change in changes} == {
                    named.parent or named.name
                }
    assert {name for name, (changes, _) in told.items() if not changes} == {"data"}
    assert {(column("note", "orders"), column("remark", "purchases"))} <= set(told["renamed"][1])
    assert (CatalogObject("table", "orders"), CatalogObject("table", "purchases")) in told["renamed"][1]
    assert {change.object for change in told["unchecked"][0]} == {CatalogObject("trigger", "t on items", "items")}
    assert index("by_order", "items") in {change.object for change in told["indexes"][0]}


def test_a_table_is_read_with_everything_that_belongs_to_it_and_nothing_else(database, connection):
    database.run(
        "CREATE TABLE t (a INT UNIQUE)",
        "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
        "CREATE TABLE other (a INT)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
    )
    whole = everything(connection)
    for asked in (CatalogObject("table", "t"), column("z"), index("j"), constraint("x")):
        reading = READER.named(connection, [asked])
        assert set(reading.catalog) == {one for one in whole if "t" in {one.name, one.parent}}
        assert reading.unread == ()
    for asked in (CatalogObject("view", "v"), CatalogObject("function", "f"), DATABASE):
        assert set(READER.named(connection, [asked]).catalog) == {asked}
    for asked in ("table", "view", "sequence", "function", "procedure", "event", "package"):
        reading = READER.named(connection, [CatalogObject(asked, "w"), CatalogObject("trigger", "x on w", "w")])
        assert (reading.catalog, reading.unread) == ({}, ())
    mentioned = READER.named(connection, [CatalogObject("", "public.v"), CatalogObject("type", "x")])
    assert (set(mentioned.catalog), mentioned.unread) == ({CatalogObject("view", "v")}, ())
    remade = READER.named(connection, [CatalogObject("table", "v")])
    assert (set(remade.catalog), remade.unread) == ({CatalogObject("view", "v")}, ())


def test_the_session_is_left_as_it_was(database, connection):
    wanted = "SELECT @@sql_mode, @@time_zone, @@lock_wait_timeout, @@sql_quote_show_create"
    with connection.begin():
        connection.exec_driver_sql("SET sql_mode = 'ANSI_QUOTES', time_zone = '+05:00', sql_quote_show_create = 0")
        before = connection.exec_driver_sql(wanted).one()
    database.run("CREATE TABLE t (a VARCHAR(9) DEFAULT 'x', b TIMESTAMP DEFAULT '2020-01-01')")
    found = everything(connection)
    assert found[column("a")]["default"] == "'x'"
    assert connection.exec_driver_sql(wanted).one() == before
    connection.rollback()


def test_a_table_that_somebody_locks_or_waits_to_alter_can_be_read(database, connection):
    database.run("CREATE TABLE t (a INT)", "CREATE TABLE locked (a INT)")
    database.run("CREATE TRIGGER r BEFORE INSERT ON locked FOR EACH ROW SET @a = 1")
    with database.session() as holder, holder.cursor() as cursor, database.session() as other:
        cursor.execute("SELECT * FROM t")
        other.cursor().execute("LOCK TABLES locked WRITE")
        waiting = threading.Thread(target=lambda: database.run("ALTER TABLE t ADD b INT"))
        waiting.start()
        while not database.run("SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'"):
            time.sleep(0.01)
        reading = READER.named(connection, [column("a"), column("a", "locked")])
        holder.rollback()
        waiting.join()
    assert {column("a"), column("a", "locked")} <= set(reading.catalog)
    assert reading.unread == ()


def test_an_object_that_a_role_may_not_see_is_unread_and_not_missing(database):
    database.run(
        "CREATE TABLE secret (a INT)",
        "CREATE TABLE plain (a INT)",
        "CREATE TRIGGER r BEFORE INSERT ON plain FOR EACH ROW SET @a = 1",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
        "CREATE VIEW v AS SELECT a FROM plain",
        "CREATE OR REPLACE USER narrow@localhost",
        f"GRANT SELECT ON {database.name}.plain TO narrow@localhost",
        f"GRANT SELECT ON {database.name}.v TO narrow@localhost",
        f"GRANT EXECUTE ON FUNCTION {database.name}.f TO narrow@localhost",
    )
    trigger = CatalogObject("trigger", "r on plain", "plain")
    asked = [CatalogObject(*one) for one in (("table", "secret"), ("table", "plain"), ("function", "f"), ("view", "v"))]
    try:
        with connected(
            f"mysql+pymysql://narrow@localhost/{database.name}?unix_socket={database.server.socket}"
        ) as narrow:
            reading = READER.named(narrow, [*asked, trigger, CatalogObject("table", "secret2")])
    finally:
        database.run("DROP USER narrow@localhost")
    told = {unread.object: unread.reason for unread in reading.unread}
    assert CatalogObject("table", "plain") in reading.catalog
    assert told.keys() >= {asked[0], asked[2], asked[3], trigger}
    assert "denied" in told[asked[0]]


def test_two_texts_are_settled_by_the_server_that_loads_them_both(database, connection):
    database.run(
        "CREATE TABLE p (id INT PRIMARY KEY)",
        "CREATE TABLE `t 1` (a INT, b VARCHAR(9), c INT AS (a) STORED, FOREIGN KEY (a) REFERENCES p (id))",
    )
    before = everything(connection)
    table = '"t 1"'
    check, key = constraint("k", table), index("i", table)
    a, b, c = (column(name, table) for name in "abc")
    view = CatalogObject("view", "v")
    cases = [
        (check, "definition", "CHECK (`a` > 1)", "CHECK ((a>1))", True),
        (check, "definition", "CHECK (`a` > 1)", "CHECK (a > 2)", False),
        (check, "definition", "CHECK (`a` > 1)", "CHECK (nothing > 1)", None),
        (check, "definition", "FOREIGN KEY (a) REFERENCES p (id)", "FOREIGN KEY (a) REFERENCES q (id)", False),
        (key, "definition", "CREATE INDEX * ON `t 1` (`a`)", "CREATE INDEX * ON `t 1` (a ASC)", True),
        (key, "definition", "CREATE INDEX * ON `t 1` (`a`)", "CREATE INDEX * ON `t 1` (`b`)", False),
        (a, "default", "1", "(0+1)", False),
        (a, "default", "(`a` + 1)", "(a+1)", True),
        (b, "default", "'x'", '"x"', True),
        (b, "default", "current_user()", "CURRENT_USER", True),
        (c, "generated", "(`a` + 1) STORED", "(a+1) PERSISTENT", True),
        (c, "generated", "(`a` + 1) STORED", "(a+1) VIRTUAL", False),
        (view, "definition", "select `p`.`id` AS `id` from `p`", "SELECT id FROM p", True),
        (view, "definition", "select `p`.`id` AS `id` from `p`", "SELECT id AS i FROM p", False),
        (view, "definition", "select `p`.`id` AS `id` from `p`", "SELECT nothing FROM p", None),
        (CatalogObject("table", table), "partition key", "x", "y", None),
        (column("a", "nowhere"), "default", "1", "2", None),
    ]
    for one, fact, text, other, same in cases:
        assert READER.settle(connection, [(one, fact, text, other)]) == {(one, fact): same}, (text, other)
    assert everything(connection) == before


def test_a_chain_takes_the_collation_of_its_database_for_granted(database, connection):
    database.run(f"ALTER DATABASE {database.name} CHARACTER SET latin1 COLLATE latin1_bin")
    told = of("mysql").surroundings(connection)
    assert (told.encoding, told.collate, told.superuser) == ("latin1", "latin1_bin", False)


def test_the_registry_knows_both():
    assert of("mysql").reader is of("mariadb").reader is READER
