"""The session that a statement waits for is reported from the root of the chain of waiters, whatever it waits for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import psycopg2
import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection

from alembic_rescue.dialects.postgresql import blockers
from alembic_rescue.model import Blocker, Wait
from tests import servers
from tests.conftest import VERSIONS, Database, fresh_database
from tests.watching import VERSION_TABLE, blocked_by, until, waiting_for_a_lock

SECRET = "hunter2-of-billing"


@pytest.fixture
def database(any_server) -> Iterator[Database]:
    """A database with the version table and another table."""
    with fresh_database(any_server) as found:
        found.run(f"{VERSION_TABLE}; INSERT INTO alembic_version VALUES ('aaaa0001'); CREATE TABLE users (id int)")
        yield found


@contextlib.contextmanager
def waiting(database: Database, statement: str, *before: str, role: str = servers.ROLE) -> Iterator[int]:
    """Start a session in whose transaction `statement` waits for a lock; return its process id."""
    with database.session(role) as connection:
        with connection.cursor() as cursor:
            for each in before:
                cursor.execute(each)
        pid = connection.info.backend_pid

        def wait() -> None:
            with contextlib.suppress(psycopg2.Error), connection.cursor() as cursor:
                cursor.execute(statement)

        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: pid in {one["pid"] for one in waiting_for_a_lock(database)}, f"{statement} waits")
        try:
            yield pid
        finally:
            database.run(f"SELECT pg_cancel_backend({pid})", role="postgres")
            thread.join()


@contextlib.contextmanager
def holding(database: Database, *statements: str, role: str = servers.ROLE) -> Iterator[int]:
    """Start a session with an open transaction; return its process id."""
    if role == servers.ROLE:
        with blocked_by(database, *statements) as connection:
            yield connection.info.backend_pid
        return
    with database.session(role) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        yield connection.info.backend_pid


@dataclass
class Asked:
    """Asks as the tests' role."""

    connection: Connection

    def wait(self, pid: int, own: Collection[int] = ()) -> Wait | None:
        """Return what a session waits for."""
        return blockers.wait_of(self.connection, pid, "alembic_version", _hidden, own)

    def blockers(self, own: Collection[int] = ()) -> tuple[Blocker, ...]:
        """Return who is in the version table's way."""
        return blockers.of(self.connection, "alembic_version", _hidden, own)


def _hidden(sql: str) -> str:
    return sql.replace(SECRET, "***")


@pytest.fixture
def asked(database) -> Iterator[Asked]:
    engine = create_engine(database.url)
    with engine.connect() as connection:
        yield Asked(connection)
    engine.dispose()


def test_a_session_behind_a_waiter_is_traced_to_the_root(database, asked):
    with (
        holding(database, "LOCK TABLE users", f"SELECT 1 /* {SECRET} */") as root,
        waiting(database, "DROP TABLE users", "UPDATE alembic_version SET version_num = version_num") as deployment,
        waiting(database, "LOCK TABLE alembic_version") as ours,
    ):
        wait = asked.wait(ours)
        assert wait.what == "the lock on the version table alembic_version"
        first, second = wait.blockers
        assert (first.pid, first.state, first.end_command) == (
            root,
            "idle in transaction",
            f"SELECT pg_terminate_backend({root});",
        )
        assert first.locks == ("AccessExclusiveLock on users",)
        assert (first.waiting, first.query) == (2, "SELECT 1 /* *** */")
        assert (second.pid, second.end_command, second.waiting) == (deployment, "", 1)
        assert second.awaits == (f"AccessExclusiveLock on users (after pid {root})",)

        assert {one.pid: one.blocks for one in asked.blockers([ours])} == {
            root: ("alembic_version",),
            deployment: ("alembic_version",),
        }
        assert asked.wait(root) is None


WAITS = {
    "another table": ("ALTER TABLE users ADD name text", "SELECT * FROM users", "the lock on users"),
    "a row": (
        "UPDATE alembic_version SET version_num = version_num",
        "UPDATE alembic_version SET version_num = 'x'",
        "the lock on a row of the version table",
    ),
    "an advisory lock": ("SELECT pg_advisory_lock(4711)", "SELECT pg_advisory_lock(4711)", "an advisory lock"),
}


@pytest.mark.parametrize("case", WAITS)
def test_the_object_that_is_waited_for_is_named(database, asked, case):
    held, statement, what = WAITS[case]
    with holding(database, held) as root, waiting(database, statement) as ours:
        wait = asked.wait(ours)
        assert wait.what == what
        assert [one.pid for one in wait.blockers] == [root]


def test_a_waiter_for_the_table_blocks_later_sessions_and_the_reader_is_the_root(database, asked):
    with (
        holding(database, "SELECT * FROM alembic_version") as reader,
        waiting(database, "LOCK TABLE alembic_version") as ddl,
    ):
        found = asked.blockers()
        assert [(one.pid, one.blocks, bool(one.end_command)) for one in found] == [
            (reader, ("alembic_version",), True),
            (ddl, ("alembic_version",), False),
        ]


@pytest.mark.parametrize("statement", ["LOCK TABLE users", "INSERT INTO alembic_version VALUES ('aaaa0009')"])
def test_a_prepared_transaction_is_named_and_its_command_ends_it(database, asked, statement):
    with database.session() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("PREPARE TRANSACTION 'it''s of billing'")
    ours = "SELECT * FROM users" if "users" in statement else "INSERT INTO alembic_version VALUES ('aaaa0009')"
    try:
        with waiting(database, ours) as pid:
            (root,) = asked.wait(pid).blockers
            assert (root.pid, root.application) == (None, "prepared transaction 'it''s of billing'")
            assert (root.role, root.state, root.waiting) == ("rescue_app", "prepared", 1)
            assert database.name in root.note
            if "alembic_version" in statement:
                assert [one.application for one in asked.blockers([pid])] == [root.application]
        with database.session() as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(root.end_command)
    finally:
        left = database.run("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
        for _ in left:
            database.run("ROLLBACK PREPARED 'it''s of billing'", role="postgres")
    assert left == []


def test_a_session_of_env_pys_own_is_reported_as_such(database, asked):
    with holding(database, "LOCK TABLE users") as first, waiting(database, "SELECT * FROM users") as second:
        (root,) = asked.wait(second, own=(first, second)).blockers
        assert (root.pid, root.end_command) == (first, "")
        assert "env.py opened it and is waiting" in root.note


def test_a_root_is_named_even_if_the_role_may_not_see_its_details(database, asked):
    database.run("ALTER TABLE users OWNER TO postgres; GRANT SELECT ON users TO rescue_app", role="postgres")
    with (
        holding(database, f"LOCK TABLE users /* {SECRET} */", role="postgres") as root,
        waiting(database, "SELECT * FROM users") as ours,
    ):
        (found,) = asked.wait(ours).blockers
        assert (found.pid, found.query, found.age_seconds) == (root, "", None)
        assert found.end_command


FILLED = {
    "of rows": "INSERT INTO users SELECT generate_series(1, 100000)",
    "of transactions": "DO 'BEGIN FOR i IN 1..110000 LOOP BEGIN INSERT INTO users VALUES (i); "
    "EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END'",
}


@pytest.mark.slow
@pytest.mark.parametrize("age", FILLED)
def test_autovacuum_is_reported_as_such(age):
    server = servers.create(max(VERSIONS))
    try:
        server.stop("fast")
        server.start(
            "-c autovacuum_naptime=1s -c autovacuum_vacuum_cost_delay=100ms -c autovacuum_vacuum_cost_limit=1"
            " -c deadlock_timeout=1h"  # after that it would yield
        )
        with psycopg2.connect(server.admin_dsn) as admin, admin.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {servers.ROLE} LOGIN PASSWORD %s", [servers.PASSWORD])
        with fresh_database(server) as database:
            database.run("CREATE TABLE users (id int) WITH (autovacuum_freeze_max_age = 100000)")
            database.run(FILLED[age])
            begun = "SELECT 1 FROM pg_stat_progress_vacuum WHERE relid = 'users'::regclass"
            until(lambda: database.run(begun, role="postgres"), "autovacuum comes to the table")
            engine = create_engine(database.url)
            with waiting(database, "LOCK TABLE users") as ours, engine.connect() as connection:
                (shown,) = Asked(connection).wait(ours).blockers
                database.run("GRANT pg_read_all_stats TO rescue_app", role="postgres")
                (seen,) = Asked(connection).wait(ours).blockers
            engine.dispose()
    finally:
        server.remove()
    assert "probably autovacuum, which yields" in shown.note
    assert seen.application == "autovacuum worker"
    assert ("prevent transaction id wraparound" if age == "of transactions" else "yields by itself") in seen.note
    assert seen.end_command == f"SELECT pg_terminate_backend({seen.pid});"
