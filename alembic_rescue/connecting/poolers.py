"""Behind a connection pooler (PgBouncer, Supavisor, RDS Proxy) a session is not the tool's own.

In transaction mode the pooler hands a server session to one client after another: a ``SET`` of
``default_transaction_read_only`` meant for the tool would make the *application's* transactions read-only.  So
behind a pooler no setting of the session is touched.  Looking is held read-only transaction by transaction, and a
statement that does not end is cancelled from here instead of by the server's own timeout.
"""

from __future__ import annotations

import inspect
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy.engine import Connection, Engine

from alembic_rescue.compat import driver_connection
from alembic_rescue.connecting import drivers, mysql

_POOLED = "alembic_rescue.pooled"
_ASKING_SECONDS = 2
_DESCRIPTORS = 4096


def is_pooled(connection: Connection) -> bool:
    """Whether another process answers than the one that the server named when the connection was made.

    PostgreSQL names it in BackendKeyData; a pooler sends one of its own making.  False where the driver does not
    hand it on.  Asked once for each connection of the driver.
    """
    if connection.dialect.name != "postgresql":
        return False
    if _POOLED not in connection.info:
        named = drivers.server_process(driver_connection(connection.connection))
        connection.info[_POOLED] = named is not None and named != _answering_process(connection)
    return bool(connection.info[_POOLED])


def hold_read_only(connection: Connection) -> None:
    """Make each transaction of `connection` a read-only one (``BEGIN READ ONLY``); the driver's own transactions only.

    With a driver in autocommit it would become the very setting of the session that must not be touched.
    """
    if not getattr(driver_connection(connection.connection), "autocommit", False):
        connection.execution_options(postgresql_readonly=True)


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
    """Ask the server to cancel what the driver's connection `raw` is running; from any thread, and never raises.

    In a process of its own where there are such: psycopg2 keeps Python's one lock while it asks, so that every
    thread of this process would stand still for as long as a network that is gone does not answer.
    """
    with suppress(Exception):  # it may be closed by now
        if inspect.iscoroutinefunction(getattr(raw, "interrupt", None)):
            return  # aiosqlite, which waits in a thread until the lock is given up
        if hasattr(raw, "interrupt"):  # SQLite, which is in this process
            raw.interrupt()
        elif hasattr(raw, "cancel"):
            _apart(raw.cancel)
        elif not mysql.request_cancel(raw):
            drivers.request_cancel(raw, _ASKING_SECONDS)


def _apart(ask: Callable[[], None]) -> None:
    if not hasattr(os, "fork"):
        ask()
        return
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_ASKING_SECONDS)  # should nobody be there any more to end it
            os.closerange(0, _DESCRIPTORS)  # whoever reads our output is not to wait for this process
            ask()
        finally:
            os._exit(0)
    deadline = time.monotonic() + _ASKING_SECONDS
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)


def _answering_process(connection: Connection) -> int:
    dbapi_connection = connection.connection
    cursor = dbapi_connection.cursor()
    try:
        cursor.execute("SELECT pg_catalog.pg_backend_pid()")
        row = cursor.fetchone()
        return int(row[0]) if row else 0
    finally:
        cursor.close()
        dbapi_connection.rollback()
