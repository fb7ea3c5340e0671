"""Session settings of MySQL and MariaDB, and their other sessions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError

from alembic_rescue.dialects import base
from alembic_rescue.dialects.blockers import NOT_SHOWN, shortened
from alembic_rescue.dialects.cursor import Cursor, fetch, query
from alembic_rescue.model import Blocker

_TAKE_LOCK = "SELECT GET_LOCK(CONCAT('alembic-rescue ', SHA1(COALESCE(DATABASE(), ''))), 0)"
"""Lock names are server-wide, so the name contains the database.  The session holds the lock until it ends."""
_HAS_LOCK = "SELECT IS_USED_LOCK(CONCAT('alembic-rescue ', SHA1(COALESCE(DATABASE(), ''))))"
_READ_ONLY = "SHOW SESSION VARIABLES WHERE variable_name IN ('tx_read_only', 'transaction_read_only')"
_IS_THERE = "SELECT 1 FROM information_schema.processlist WHERE id = {pid}"
_BLOCKERS = """
    SELECT p.id AS pid, p.user AS role, p.host AS client, p.command AS command, t.trx_state AS state,
           TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS age, COALESCE(p.info, '') AS query
    FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
    WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID() AND (t.trx_rows_locked > 0 OR t.trx_tables_locked > 0)
    ORDER BY age DESC, pid
"""
"""The open transactions with locks in this database.  Neither server shows every role on which table.  Requires the
PROCESS privilege."""


class Server(base.Server):
    """Session settings as far as these servers support them, and the transactions of other sessions."""

    def settings(self, dialect: Dialect, lock: float, statement: float, *, read_only: bool) -> tuple[str, ...]:
        """Return the settings.

        READ ONLY prevents every change of data and schema, including temporary tables and sequences (MariaDB 10.11).
        It does not prevent ``ANALYZE TABLE``, or a session from resetting it.  The lock timeouts are in whole seconds.
        MySQL has no timeout for statements other than SELECT.
        """
        seconds = max(1, round(lock))
        timeouts = (
            f"SET SESSION lock_wait_timeout = {seconds}, SESSION innodb_lock_wait_timeout = {seconds}"
            # The dialect does not know yet which of the two it is; MariaDB ignores comments for MySQL 5.7 only.
            f" /*!50708 , SESSION max_execution_time = {round(statement * 1000)} */"
            f" /*M! , SESSION max_statement_time = {statement:g} */"
        )
        return (timeouts, "SET SESSION TRANSACTION READ ONLY") if read_only else (timeouts,)

    def take_rescue_lock(self, cursor: Cursor, settings: tuple[str, ...]) -> bool:
        """Take a session-level lock: these servers have no other kind."""
        return bool(cursor.value(_TAKE_LOCK))

    def hold_rescue_lock(self, cursor: Cursor) -> bool:
        """Take the same lock: it never belongs to a transaction."""
        return bool(cursor.value(_TAKE_LOCK))

    def at_work(self, cursor: Cursor) -> base.AtWork | None:
        """Return its connection id only: neither server shows more to every role."""
        pid = cursor.value(_HAS_LOCK)
        return None if pid is None else base.AtWork(int(pid), "", None)

    def upgrade_settings(self, lock: float) -> tuple[str, ...]:
        """Return one statement, with the timeout in whole seconds."""
        seconds = max(1, round(lock))
        return (f"SET SESSION lock_wait_timeout = {seconds}, SESSION innodb_lock_wait_timeout = {seconds}",)

    def let_go(self, cursor: Cursor) -> str | None:
        """Return ``SET SESSION TRANSACTION READ WRITE``; the variable has two names."""
        told = dict(cursor.rows(_READ_ONLY))
        return None if set(told.values()) & {"ON", "1"} else "SET SESSION TRANSACTION READ WRITE"

    def backend(self, cursor: Cursor) -> tuple[int, str]:
        """Return the connection id, which is not reused while the server runs."""
        return int(cursor.value("SELECT CONNECTION_ID()")), ""

    def is_running(self, connection: Connection, pid: int, started: str) -> bool:
        """Look in the process list: a role sees its own sessions without the PROCESS privilege."""
        return bool(fetch(connection, _IS_THERE.format(pid=int(pid))))

    nobody_shown = (
        "MySQL and MariaDB show who holds it only to a role with the PROCESS privilege; it may be free by "
        "now. End other sessions and try again"
    )

    def blockers(
        self, connection: Connection, table: str, hide: Callable[[str], str], own: Collection[int]
    ) -> tuple[Blocker, ...]:
        """Return the open transactions that hold locks; none for a role without the PROCESS privilege."""
        try:
            found = query(connection, _BLOCKERS)
        except DBAPIError:  # not permitted
            return ()
        return tuple(_blocker(one, hide) for one in found if one["pid"] not in own)


def _blocker(one: dict[str, Any], hide: Callable[[str], str]) -> Blocker:
    return Blocker(
        pid=one["pid"],
        application=NOT_SHOWN,
        role=one["role"],
        client=str(one["client"]) or NOT_SHOWN,
        state=f"{one['command']}, transaction {one['state']}".lower(),
        age_seconds=None if one["age"] is None else float(one["age"]),
        query=shortened(one["query"], hide),
        locks=("in an open transaction",),
        awaits=(),
        blocks=(),
        end_command=f"KILL {one['pid']};",
    )
