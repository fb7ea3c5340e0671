"""Behind a connection pooler (PgBouncer, Supavisor, RDS Proxy) a session is not the tool's own.

In transaction mode the pooler hands a server session to one client after another: a ``SET`` of
``default_transaction_read_only`` meant for the tool would make the *application's* transactions read-only.  So
behind a pooler no setting of the session is touched.  Looking is held read-only transaction by transaction, and a
statement that does not end is cancelled from here instead of by the server's own timeout.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from sqlalchemy.engine import Connection, Engine

from alembic_rescue import dialects
from alembic_rescue.compat import driver_connection
from alembic_rescue.connection import drivers
from alembic_rescue.dialects import Dialect

_POOLED = "alembic_rescue.pooled"


def is_pooled(connection: Connection) -> bool:
    """Whether another process answers than the one that the server named when the connection was made.

    PostgreSQL names it in BackendKeyData; a pooler sends one of its own making.  False where the driver does not
    hand it on.  Asked once for each connection of the driver.
    """
    if _POOLED not in connection.info:
        dialect = dialects.of(connection.dialect.name)
        named = dialect.drivers.server_process(driver_connection(connection.connection))
        connection.info[_POOLED] = named is not None and named != _answering_process(connection, dialect)
    return bool(connection.info[_POOLED])


def hold_read_only(connection: Connection) -> None:
    """Make each transaction of `connection` a read-only one."""
    dialects.of(connection.dialect.name).server.hold_read_only(connection)


class Watchdog:
    """Cancels a statement behind a pooler after some seconds; `listeners` are to be active while env.py runs."""

    def __init__(self, seconds: float) -> None:
        self.fired = False
        self._seconds = seconds
        self._timers: dict[int, threading.Timer] = {}
        self.listeners = (
            (Engine, "before_cursor_execute", self._begin),
            (Engine, "after_cursor_execute", self._end),
            (Engine, "handle_error", self._failed),
        )

    def _begin(self, connection: Connection, *_: object) -> None:
        if connection.info.get(_POOLED):
            timer = threading.Timer(self._seconds, self._fire, [driver_connection(connection.connection)])
            timer.daemon = True
            self._timers[id(connection)] = timer
            timer.start()

    def _end(self, connection: Connection, *_: object) -> None:
        timer = self._timers.pop(id(connection), None)
        if timer is not None:
            timer.cancel()

    def _failed(self, failed: Any) -> None:
        if failed.connection is not None:
            self._end(failed.connection)

    def _fire(self, raw: Any) -> None:
        self.fired = True
        cancel(raw)


def cancel(raw: Any) -> None:
    """Ask the server to cancel what the driver's connection `raw` is running; from any thread, and never raises."""
    with suppress(Exception):  # it may be closed by now
        drivers.cancel(raw)


def _answering_process(connection: Connection, dialect: Dialect) -> int:
    pid, _ = dialect.server.backend(connection)
    connection.connection.rollback()
    return pid
