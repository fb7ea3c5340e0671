"""Who blocks a statement of env.py, asked on another connection while the statement waits.

Afterwards it is too late: a server reports only the locks that are awaited now, and its error only says "lock timeout".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection, Engine

from alembic_rescue import dialects
from alembic_rescue.compat import driver_connection
from alembic_rescue.connection import drivers, poolers, sessions
from alembic_rescue.connection.held import HeldOpen
from alembic_rescue.model import Wait

_QUESTIONS = 4
"""How many questions fit into the lock timeout."""


class LockWaits:
    """Looks for the blockers of slow statements; its `listeners` must be active while env.py runs.

    Args:
        seconds: after this time the server gives up waiting for a lock.
        table: the version table as far as it is known, quoted.
        hide: removes secrets from another session's query.
        own: the process ids of the run's own sessions.
    """

    def __init__(
        self,
        seconds: float,
        table: Callable[[], str],
        hide: Callable[[str], str],
        own: Callable[[], Collection[int]],
    ) -> None:
        self.seen: Wait | None = None
        """What the last statement waited for, unless it has succeeded."""
        self._seconds = seconds
        self._table, self._hide, self._own = table, hide, own
        self._engines: list[Engine] = []
        self._asking: dict[int, tuple[threading.Timer, threading.Event]] = {}
        self.listeners = (
            (Engine, "before_cursor_execute", self._begin),
            (Engine, "after_cursor_execute", self._went_through),
            (Engine, "handle_error", self._failed),
        )

    def asks_by(self, engine: Engine | None) -> bool:
        """Return whether `engine` is the one that these questions use."""
        return any(one is engine for one in self._engines)

    def _begin(self, connection: Connection, *_: object) -> None:
        if not dialects.of(connection.dialect.name).server.tells_waits or self.asks_by(connection.engine):
            return
        pid = drivers.server_process(driver_connection(connection.connection))
        if pid is None or poolers.is_pooled(connection):
            return
        over = threading.Event()
        with suppress(RuntimeError):  # env.py may have left Python unable to start threads; the answer is only a help
            timer = threading.Timer(self._seconds / 2, self._ask, [connection.engine, pid, over])
            timer.daemon = True
            timer.start()
            self._asking[id(connection)] = timer, over

    def _end(self, connection: Connection) -> None:
        timer, over = self._asking.pop(id(connection), (None, None))
        if timer is not None and over is not None:
            timer.cancel()
            over.set()

    def _went_through(self, connection: Connection, *_: object) -> None:
        self._end(connection)
        self.seen = None

    def _failed(self, failed: Any) -> None:
        if failed.connection is not None:
            self._end(failed.connection)

    def _ask(self, engine: Engine, pid: int, over: threading.Event) -> None:
        asking = sessions.own_engine(engine)
        self._engines.append(asking)
        question = partial(self._asked, pid, over)
        with suppress(Exception):  # only a help: the statement fails anyway
            if engine.dialect.is_async:
                held = HeldOpen(asking, question)
                try:
                    held.came_about(self._seconds * 2)
                finally:
                    held.release()
            else:
                with asking.connect() as connection:
                    question(connection)

    def _asked(self, pid: int, over: threading.Event, connection: Connection) -> None:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        server = dialects.of(connection.dialect.name).server
        while not over.is_set():
            found = server.wait_of(connection, pid, self._table(), self._hide, self._own())
            if over.is_set():  # by now the answer may be about another statement
                return
            if found is None and self.seen is not None:
                return
            self.seen = found
            over.wait(self._seconds / _QUESTIONS)
