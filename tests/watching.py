"""What a test sees of a database from outside: everything in it, who is connected, and what the server logged."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2

from tests import servers
from tests.conftest import Database

VERSION_TABLE = "CREATE TABLE alembic_version (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY)"
"""As Alembic creates it."""

OF_THIS_DATABASE = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
"""For pg_locks, which lists those of the whole server: it is shared with other tests."""

_CATALOGS = (
    *("pg_class", "pg_attribute", "pg_attrdef", "pg_type", "pg_enum", "pg_constraint", "pg_index", "pg_sequence"),
    *("pg_namespace", "pg_proc", "pg_trigger", "pg_rewrite", "pg_depend", "pg_description", "pg_policy"),
    *("pg_default_acl", "pg_event_trigger", "pg_extension"),
)
_MAINTAINED_BY_VACUUM = (
    "{relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid,relhasindex,relhasrules,relhastriggers}"
)
_LOGGED = re.compile(
    r"^(?P<pid>\d+) (?P<database>\S+) (?P<application>[^|]*)\|(?P<level>\w+): +(?P<text>.*)$", re.DOTALL
)


def until(true: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Wait until `true` returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.02)
    raise AssertionError(f"did not come true in {seconds:g} s: {what}")


def others(database: Database) -> list[dict[str, Any]]:
    """The database's other client sessions, from pg_stat_activity."""
    columns = "pid, application_name, state, wait_event_type, wait_event, query"
    rows = database.run(
        f"SELECT {columns} FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'",
        role="postgres",
    )
    return [dict(zip(columns.split(", "), row, strict=True)) for row in rows]


def waiting_for_a_lock(database: Database) -> list[dict[str, Any]]:
    """Those of them that wait for a lock."""
    return [session for session in others(database) if session["wait_event_type"] == "Lock"]


def everything(database: Database, present: int = 0) -> dict[str, Any]:
    """Return everything in a database: catalog, rows (with xmin, xmax and place), sequences, and write counters.

    Counters are flushed when a session ends, so it waits until only `present` other sessions are left.
    """
    until(lambda: len(others(database)) <= present, "the sessions of the command are gone")
    with contextlib.closing(psycopg2.connect(database.dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:

            def rows(sql: str) -> list[Any]:
                cursor.execute(sql)
                return cursor.fetchall()

            rows("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
            seen: dict[str, Any] = {
                catalog: rows(
                    "SELECT c.xmin::text, c.xmax::text, c.ctid::text, "
                    f"(to_jsonb(c) - '{_MAINTAINED_BY_VACUUM}'::text[])::text FROM pg_catalog.{catalog} c ORDER BY ctid"
                )
                for catalog in _CATALOGS
            }
            for kind in ("r", "S", "m"):
                for (name,) in rows(
                    f"SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                    f"WHERE c.relkind = '{kind}' AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
                    f"AND n.nspname !~ '^pg_(toast|temp)' ORDER BY 1"
                ):
                    seen[name] = rows(
                        f"SELECT xmin::text, xmax::text, ctid::text, row(t.*)::text FROM {name} t ORDER BY 4"
                    )
            seen["pg_sequences"] = rows("SELECT * FROM pg_sequences ORDER BY 1, 2")
            seen["counters"] = rows(
                "SELECT schemaname, relname, n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd FROM pg_stat_user_tables "
                "ORDER BY 1, 2"
            )
            seen["settings"] = rows("SELECT s::text FROM pg_db_role_setting s ORDER BY 1")
            return seen


@dataclass(frozen=True)
class Logged:
    """A message of the server's log."""

    pid: int
    application: str
    level: str
    text: str

    @property
    def statement(self) -> str | None:
        """The SQL, if a statement was logged, on one line."""
        words, _, sql = self.text.partition(": ")
        return " ".join(sql.split()) if words == "statement" or words.startswith("execute ") else None


class ServerLog:
    """What the server logged about one database since this object was created."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._from = database.server.log.stat().st_size

    @property
    def messages(self) -> list[Logged]:
        with self._database.server.log.open("rb") as file:
            file.seek(self._from)
            lines = file.read().decode(errors="replace").splitlines()
        whole: list[str] = []
        for line in lines:
            if line.startswith("\t") and whole:
                whole[-1] += "\n" + line
            else:
                whole.append(line)
        found = [m for m in map(_LOGGED.match, whole) if m and m["database"] == self._database.name]
        return [Logged(int(m["pid"]), m["application"], m["level"], m["text"]) for m in found]

    @property
    def statements(self) -> list[tuple[int, str]]:
        """(pid, SQL) in the server's order."""
        return [(m.pid, m.statement) for m in self.messages if m.statement is not None]

    @property
    def sessions(self) -> dict[int, list[str]]:
        """The statements of each session."""
        by_pid: dict[int, list[str]] = {}
        for pid, statement in self.statements:
            by_pid.setdefault(pid, []).append(statement)
        return by_pid


@contextlib.contextmanager
def blocked_by(database: Database, *statements: str, application: str = "somebody else") -> Iterator[Any]:
    """Another session of the tests' role, in a transaction in which it ran `statements`; rolled back at the end."""
    connection = psycopg2.connect(
        host="127.0.0.1",
        port=database.server.port,
        dbname=database.name,
        user=servers.ROLE,
        password=servers.PASSWORD,
        application_name=application,
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        for statement in statements:
            with contextlib.suppress(psycopg2.DataError):  # 1/0 is meant to fail
                cursor.execute(statement)
        yield connection
