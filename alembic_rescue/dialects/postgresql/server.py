"""What a session of PostgreSQL's can be held to, and what the server tells of others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect

from alembic_rescue.compat import driver_connection
from alembic_rescue.dialects import base
from alembic_rescue.dialects.cursor import Cursor, fetch
from alembic_rescue.dialects.postgresql import blockers
from alembic_rescue.dialects.postgresql.unshadowed import unshadowed
from alembic_rescue.model import Blocker, Wait

_SAYS_WHO_IT_IS = unshadowed(
    f"SELECT set_config('application_name', '{blockers.RESCUE}', false) WHERE current_setting('application_name') = ''"
)
"""Where the project gives its sessions no name of its own."""
_BACKEND = unshadowed("SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = {pid}")
_PRESENCE = {
    "SCHEMA": unshadowed("SELECT to_regnamespace({name}) IS NOT NULL"),
    "EXTENSION": unshadowed("SELECT EXISTS (SELECT FROM pg_extension WHERE quote_ident(extname) = {name})"),
}
_PRESENCE_OF_A_RELATION = unshadowed("SELECT to_regclass({name}) IS NOT NULL")


class Server(base.Server):
    """Sessions held by the server's own settings, and all that it tells of others."""

    def settings(self, dialect: Dialect, lock: float, statement: float, *, read_only: bool) -> tuple[str, ...]:
        """In milliseconds."""
        held = (f"SET lock_timeout = {round(lock * 1000)}", f"SET statement_timeout = {round(statement * 1000)}")
        return (*held, "SET default_transaction_read_only = on" if read_only else _SAYS_WHO_IT_IS)

    def hold_read_only(self, connection: Connection) -> None:
        """By the first statement of each transaction.

        What drivers have for it becomes a setting of the session: pg8000's always, psycopg2's with autocommit.
        """
        event.listen(connection, "begin", _read_only)

    def take_rescue_lock(self, cursor: Cursor, settings: tuple[str, ...]) -> bool:
        """A *transaction's* advisory lock, in a transaction that is begun for it.

        Unlike a session's, it cannot stay behind on a server connection that a pooler in transaction mode hands to
        somebody else.
        """
        cursor.run("BEGIN")  # the engine may be set to AUTOCOMMIT; elsewhere the server only notes it
        for statement in settings:
            cursor.run(statement.replace("SET ", "SET LOCAL ", 1))
        cursor.run(f"SET LOCAL application_name = '{blockers.RESCUE}'")
        return bool(cursor.value(unshadowed(f"SELECT pg_try_advisory_xact_lock({blockers.RESCUE_LOCK}::int8)")))

    def always_read_only(self, dialect: Dialect) -> Mapping[str, Callable[..., Any]]:
        """What the execution option ``postgresql_readonly`` sets, which would begin transactions as READ WRITE."""
        set_readonly = getattr(dialect, "set_readonly", None)
        return {"set_readonly": lambda connection, _: set_readonly(connection, True)} if set_readonly else {}

    def let_go(self, cursor: Cursor) -> str | None:
        """The setting may be taken back by anybody."""
        held = cursor.value("SELECT pg_catalog.current_setting('default_transaction_read_only')") == "on"
        return None if held else "SET default_transaction_read_only = off"

    def has_written(self, cursor: Cursor) -> bool:
        """It has an id then."""
        return cursor.value("SELECT pg_catalog.txid_current_if_assigned()") is not None

    def backend(self, cursor: Cursor) -> tuple[int, str]:
        """As ``pg_stat_activity`` has it."""
        pid, started = cursor.rows(_BACKEND.format(pid="pg_catalog.pg_backend_pid()"))[0]
        return int(pid), str(started)

    def is_running(self, connection: Connection, pid: int, started: str) -> bool:
        """A pid alone may be another one's by now."""
        return any(str(found) == started for _, found in fetch(connection, _BACKEND.format(pid=int(pid))))

    def blockers(
        self, connection: Connection, table: str, hide: Callable[[str], str], own: Collection[int]
    ) -> tuple[Blocker, ...]:
        """Those with a lock on `table`, and those with an advisory lock in its database."""
        return blockers.of(connection, table, hide, own)

    tells_waits = True
    nobody_shown = (
        "the session that held it was not seen and may have released it. Check with "
        "`alembic-rescue diagnose`, then try again"
    )

    def wait_of(
        self, connection: Connection, pid: int, table: str, hide: Callable[[str], str], own: Collection[int]
    ) -> Wait | None:
        """By ``pg_blocking_pids``, which tells only of those who wait now."""
        return blockers.wait_of(connection, pid, table, hide, own)

    def holds(self, connection: Connection, kind: str, name: str) -> bool:
        """On the search path, where `name` has no schema."""
        literal = "'" + name.replace("'", "''") + "'"
        return bool(fetch(connection, _PRESENCE.get(kind, _PRESENCE_OF_A_RELATION).format(name=literal))[0][0])


def _read_only(connection: Connection) -> None:
    if getattr(driver_connection(connection.connection), "autocommit", False):
        return  # no transaction is begun
    Cursor(connection.connection, connection.dialect).run("SET TRANSACTION READ ONLY")
