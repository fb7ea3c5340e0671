"""Session settings of PostgreSQL, and what the server shows of other sessions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect

from alembic_rescue.compat import driver_connection
from alembic_rescue.dialects import base
from alembic_rescue.dialects.base import AtWork, Fingerprint
from alembic_rescue.dialects.cursor import Cursor, fetch
from alembic_rescue.dialects.postgresql import blockers, guarding
from alembic_rescue.dialects.postgresql.unshadowed import unshadowed
from alembic_rescue.model import Blocker, Wait

_SAYS_WHO_IT_IS = unshadowed(
    f"SELECT set_config('application_name', '{blockers.RESCUE}', false) WHERE current_setting('application_name') = ''"
)
"""Used if the project does not set an application name."""
_BACKEND = unshadowed("SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = {pid}")
_PRESENCE = {
    "SCHEMA": unshadowed("SELECT to_regnamespace({name}) IS NOT NULL"),
    "EXTENSION": unshadowed("SELECT EXISTS (SELECT FROM pg_extension WHERE quote_ident(extname) = {name})"),
}
_PRESENCE_OF_A_RELATION = unshadowed("SELECT to_regclass({name}) IS NOT NULL")


class Server(base.Server):
    """Sessions made read-only by the server's own settings, and queries about other sessions."""

    def settings(self, dialect: Dialect, lock: float, statement: float, *, read_only: bool) -> tuple[str, ...]:
        """Return the settings; PostgreSQL's timeouts are in milliseconds."""
        held = (f"SET lock_timeout = {round(lock * 1000)}", f"SET statement_timeout = {round(statement * 1000)}")
        return (*held, "SET default_transaction_read_only = on" if read_only else _SAYS_WHO_IT_IS)

    def hold_read_only(self, connection: Connection) -> None:
        """Make each transaction read-only with its first statement.

        The drivers' own way changes the session's settings: pg8000 always, psycopg2 with autocommit.
        """
        event.listen(connection, "begin", _read_only)

    def take_rescue_lock(self, cursor: Cursor, settings: tuple[str, ...]) -> bool:
        """Take a *transaction-level* advisory lock, in a transaction begun for it.

        Unlike a session-level lock, it cannot be left behind on a server connection that a pooler in transaction mode
        hands to another client.
        """
        cursor.run("BEGIN")  # the engine may be set to AUTOCOMMIT; if not, the server only warns
        for statement in settings:
            cursor.run(statement.replace("SET ", "SET LOCAL ", 1))
        cursor.run(f"SET LOCAL application_name = '{blockers.RESCUE}'")
        return bool(cursor.value(unshadowed(f"SELECT pg_try_advisory_xact_lock({blockers.RESCUE_LOCK}::int8)")))

    def hold_rescue_lock(self, cursor: Cursor) -> bool:
        """Take a *session's* advisory lock: a transaction that stays open for hours holds back vacuum."""
        cursor.run(guarding.STAYS)
        return bool(cursor.value(guarding.HOLD_LOCK))

    def at_work(self, cursor: Cursor) -> AtWork | None:
        """Find it by its lock; a role that may not see the session gets the pid only."""
        found = cursor.rows(guarding.AT_WORK)
        return AtWork(*found[0]) if found else None

    def is_nobody_at_work(self, cursor: Cursor) -> bool:
        """Try to take exclusively the advisory lock that every migrating session shares."""
        alone = bool(cursor.value(guarding.ALONE))
        if alone:
            cursor.value(guarding.NOT_ALONE)
        return alone

    def upgrade_settings(self, lock: float) -> tuple[str, ...]:
        """Keep the project's own lock timeout if it is shorter.

        A server that checks its clients' connections ends the statement of a killed one within a second.
        """
        return (guarding.lock_timeout(lock), _SAYS_WHO_IT_IS, *guarding.OF_MIGRATIONS)

    def wait_patiently(self, cursor: Cursor, statement: str, lock: float) -> bool:
        """Lift it for ``CREATE INDEX CONCURRENTLY`` and its like."""
        return guarding.is_concurrent(statement) and bool(cursor.rows(guarding.no_lock_timeout(lock)))

    def settings_of_transaction(self, lock: float) -> tuple[str, ...]:
        """Return what ends with the transaction: a ``SET LOCAL``, and a lock."""
        return f"SET LOCAL lock_timeout = {round(lock * 1000)}", guarding.OF_A_TRANSACTION

    def fingerprint(self, cursor: Cursor, table: str) -> Fingerprint | None:
        """Sum up which transaction created each row of the catalogs, except those of temporary objects."""
        literal = "'" + table.replace("'", "''") + "'"
        there = cursor.value(unshadowed(f"SELECT to_regclass({literal}) IS NOT NULL"))
        rows = cursor.rows(f"SELECT version_num FROM {table}") if there else []  # noqa: S608 - quoted by the dialect
        return Fingerprint(tuple(sorted(str(one) for (one,) in rows)), str(cursor.rows(guarding.FINGERPRINT)))

    def transaction(self, cursor: Cursor) -> str | None:
        """Have it get an id, as it will with its first change."""
        return str(cursor.value(guarding.TRANSACTION))

    def is_committed(self, cursor: Cursor, transaction: str) -> bool:
        """Ask for its status, which is known long after its end."""
        return bool(cursor.value(guarding.IS_COMMITTED.format(transaction=int(transaction))))

    def invalid_indexes(self, cursor: Cursor) -> tuple[str, ...]:
        """A ``CREATE INDEX CONCURRENTLY`` that fails leaves one behind."""
        return tuple(name for (name,) in cursor.rows(guarding.INVALID_INDEXES))

    def always_read_only(self, dialect: Dialect) -> Mapping[str, Callable[..., Any]]:
        """Replace what the execution option ``postgresql_readonly`` calls: it could begin READ WRITE transactions."""
        set_readonly = getattr(dialect, "set_readonly", None)
        return {"set_readonly": lambda connection, _: set_readonly(connection, True)} if set_readonly else {}

    def let_go(self, cursor: Cursor) -> str | None:
        """Return the statement that reset the setting: any code can reset it."""
        held = cursor.value("SELECT pg_catalog.current_setting('default_transaction_read_only')") == "on"
        return None if held else "SET default_transaction_read_only = off"

    def has_written(self, cursor: Cursor) -> bool:
        """Whether the transaction has an id: it gets one when it writes."""
        return cursor.value("SELECT pg_catalog.txid_current_if_assigned()") is not None

    def backend(self, cursor: Cursor) -> tuple[int, str]:
        """Return the process id and start time from ``pg_stat_activity``."""
        pid, started = cursor.rows(_BACKEND.format(pid="pg_catalog.pg_backend_pid()"))[0]
        return int(pid), str(started)

    def is_running(self, connection: Connection, pid: int, started: str) -> bool:
        """Compare the start time too: the process id may have been reused."""
        return any(str(found) == started for _, found in fetch(connection, _BACKEND.format(pid=int(pid))))

    def blockers(
        self, connection: Connection, table: str, hide: Callable[[str], str], own: Collection[int]
    ) -> tuple[Blocker, ...]:
        """Return the sessions with a lock on `table` or an advisory lock in its database."""
        return blockers.of(connection, table, hide, own)

    tells_waits = True
    nobody_shown = (
        "the session that held it was not seen and may have released it. Check with "
        "`alembic-rescue diagnose`, then try again"
    )

    def wait_of(
        self, connection: Connection, pid: int, table: str, hide: Callable[[str], str], own: Collection[int]
    ) -> Wait | None:
        """Ask ``pg_blocking_pids``, which only covers sessions that are waiting now."""
        return blockers.wait_of(connection, pid, table, hide, own)

    def holds(self, connection: Connection, kind: str, name: str) -> bool:
        """Look up `name`; on the search path if it has no schema."""
        literal = "'" + name.replace("'", "''") + "'"
        return bool(fetch(connection, _PRESENCE.get(kind, _PRESENCE_OF_A_RELATION).format(name=literal))[0][0])


def _read_only(connection: Connection) -> None:
    if getattr(driver_connection(connection.connection), "autocommit", False):
        return  # there is no transaction
    Cursor(connection.connection, connection.dialect).run("SET TRANSACTION READ ONLY")
