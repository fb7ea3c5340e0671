"""Each dialect is one folder, and nothing outside of it checks which dialect it is."""

from __future__ import annotations

import ast
from pathlib import Path

import psycopg2
import pytest

from alembic_rescue import dialects, errors, waiting
from alembic_rescue.connection import drivers

PACKAGE = Path(dialects.__file__).parents[1]
ELSEWHERE = [
    path
    for path in PACKAGE.rglob("*.py")
    if not {"dialects", "demo"} & set(path.relative_to(PACKAGE).parts)
    and path.name != "branches.py"  # it reads the names in a *project's* conditions
]
NAMES = frozenset(["postgresql", "mysql", "mariadb", "sqlite", "PostgreSQL", "MySQL", "MariaDB", "SQLite"])
KNOWN = ["postgresql", "mysql", "mariadb", "sqlite"]


@pytest.mark.parametrize("path", ELSEWHERE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_dialect_is_named_outside_of_its_folder(path):
    tree = ast.parse(path.read_text("utf-8"))
    named = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in NAMES]
    assert named == []


@pytest.mark.parametrize("name", [*KNOWN, "oracle"])
def test_each_dialect_has_all_parts_its_own_or_the_default(name):
    dialect = dialects.of(name)
    assert dialect.name == name
    for part in ("identity", "server", "drivers", "failures", "scratch", "places"):
        home = type(getattr(dialect, part)).__module__.removeprefix("alembic_rescue.dialects.")
        own = f"{dialect.folder}.{part}"
        assert home == (own if (PACKAGE / "dialects" / f"{own.replace('.', '/')}.py").exists() else "other")
    assert callable(dialect.kind_of)
    assert callable(dialect.remedy)
    assert (dialect.reader is None) == (name == "oracle")


def test_an_unknown_dialect_promises_nothing():
    dialect = dialects.of("oracle")
    assert (dialect.title, dialect.port, dialect.holds_sessions, dialect.has_rescue_lock) == (
        "oracle",
        None,
        False,
        False,
    )
    assert dialect.server.settings(None, 5.0, 30.0, read_only=True) == ()
    assert dialect.obstacle("relation x already exists", "CREATE TABLE x ()") is None


@pytest.mark.parametrize(
    ("name", "version", "title"),
    [
        ("mysql", "10.11.6-MariaDB-0+deb12u1", "MariaDB"),
        ("mysql", "8.0.36", "MySQL"),
        ("postgresql", "16.4", "PostgreSQL"),
        ("oracle", "19.3 MariaDB", "oracle"),
    ],
)
def test_a_server_is_recognised_by_what_it_calls_itself(name, version, title):
    assert dialects.of_server(name, version).title == title


def test_what_hosts_call_it():
    assert [dialects.proper_name(word) for word in ("postgres", "postgresql", "oracle")] == [
        "postgresql",
        "postgresql",
        "oracle",
    ]
    assert dialects.of("mariadb").is_kin("mysql")
    assert not dialects.of("oracle").is_kin("db2")
    assert [one.name for one in dialects.known()] == ["postgresql", "mysql", "sqlite"]


def test_a_code_is_read_by_the_dialect_of_its_driver():
    mysql = pytest.importorskip("pymysql").err.OperationalError(1049, "Unknown database 'shop'")
    mysql.sqlstate = "42000"  # newer versions have it next to their number
    assert drivers.error_class(mysql) is drivers.error_class(PgError("3D000")) is errors.DatabaseMissing
    assert drivers.error_text(mysql) == "Unknown database 'shop'"
    assert drivers.vague_class(pymysql_error(2013)) is errors.ConnectionLost


def test_a_query_that_a_replicas_replay_cancels_may_be_retried():
    assert drivers.error_class(PgError("40001")) is errors.StatementTimeout
    assert errors.StatementTimeout in waiting.AWAY


class PgError(psycopg2.Error):
    """As if the server had sent it."""

    def __init__(self, code):
        self.sqlstate = code


def pymysql_error(number):
    return pytest.importorskip("pymysql").err.OperationalError(number, "Lost connection to MySQL server during query")
