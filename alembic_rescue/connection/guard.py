"""The rescue lock for the duration of an upgrade, on its own connection, separate from env.py's.

The lock is polled, never waited for: a waiting session holds a snapshot, and a ``CREATE INDEX CONCURRENTLY`` of the
upgrade that has the lock would wait for that snapshot.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy.engine import Connection, Engine

from alembic_rescue import dialects
from alembic_rescue.compat import driver_connection
from alembic_rescue.connection import drivers, poolers, sessions
from alembic_rescue.connection.held import HeldOpen
from alembic_rescue.connection.sessions import GRACE_SECONDS, Timeouts
from alembic_rescue.dialects.base import AtWork, Fingerprint
from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.errors import ConnectTimeout

T = TypeVar("T")
_TURN_SECONDS = 10.0


class Line:
    """An autocommit connection that stays open, and that one thread uses at a time.

    Raises:
        ConnectTimeout: it could not be opened in time; or whatever the driver raises.
    """

    def __init__(self, engine: Engine, timeouts: Timeouts, database: str) -> None:
        self._turn = threading.Lock()
        self._close: Callable[[], object]
        self._ask: Callable[[Callable[[Connection], object]], object]
        if engine.dialect.is_async:
            held = HeldOpen(sessions.own_engine(engine), self._opened)
            self._close, self._ask = held.release, lambda question: held.ask(lambda one: question(_committing(one)))
            if not held.came_about(timeouts.connect + timeouts.longest_wait + GRACE_SECONDS):
                raise ConnectTimeout(database, "the connection for the rescue lock could not be opened")
            held.outcome()
        else:
            connection = _committing(sessions.own_engine(engine).connect())
            self._opened(connection)
            self._close, self._ask = connection.invalidate, lambda question: question(connection)

    def ask(self, question: Callable[[Connection], T]) -> T:
        """Return what `question` returns; raise what it raises, or TimeoutError if another question is not answered."""
        if not self._turn.acquire(timeout=_TURN_SECONDS):
            raise TimeoutError
        try:
            return self._ask(question)  # type: ignore[return-value]
        finally:
            self._turn.release()

    def _opened(self, connection: Connection) -> None:
        self._raw = driver_connection(connection.connection)

    def hang_up(self) -> None:
        """Drop the connection to a server that does not answer; never raises."""
        with suppress(Exception):  # any driver's error for a closed connection
            drivers.hang_up(self._raw)

    def close(self) -> None:
        """End the session; never raises."""
        if self._turn.locked():  # a question is pending, and the driver would wait for its answer
            self.hang_up()
        with suppress(Exception):  # any driver's error: the session is lost, and its locks with it
            self._close()


def _committing(connection: Connection) -> Connection:
    return connection.execution_options(isolation_level="AUTOCOMMIT")


class Guard:
    """The rescue lock of one database.

    Args:
        engine: opens the lock's connection, outside of its pool.
        timeouts: for the lock's session.
        database: the name, worded for a sentence.
    """

    def __init__(self, engine: Engine, timeouts: Timeouts, database: str) -> None:
        self._engine, self._timeouts, self.database = engine, timeouts, database
        self._dialect = dialects.of(engine.dialect.name)
        self._line = Line(engine, timeouts, database)
        self._asking = self._line
        self.is_held = False
        self.is_pooled = self._line.ask(poolers.is_pooled)
        """Whether a pooler is in between.  If so, an open transaction holds the lock, and keeps one server session."""

    @property
    def engine(self) -> Engine:
        """The engine passed in."""
        return self._engine

    def ask(self, question: Callable[[Connection], T]) -> T:
        """Return what `question` returns on the lock's connection; raise what it raises."""
        return self._line.ask(question)

    def take(self) -> bool:
        """Try to take the lock.

        Return False if another session has it, or if a session of a killed upgrade is still running.
        """
        self.is_held = self._line.ask(self._take)
        if self.is_held and self.is_pooled and self._asking is self._line:
            self._asking = Line(self._engine, self._timeouts, self.database)
        return self.is_held

    def _take(self, connection: Connection) -> bool:
        server, cursor = self._dialect.server, Cursor(connection.connection, connection.dialect)
        if not self._dialect.has_rescue_lock:
            return True
        if self.is_held:
            return server.is_nobody_at_work(cursor)
        if not self.is_pooled:
            return server.hold_rescue_lock(cursor) and server.is_nobody_at_work(cursor)
        settings = sessions.settings(connection.dialect, self._timeouts, read_only=True)
        taken = server.take_rescue_lock(cursor, settings) and server.is_nobody_at_work(cursor)
        if not taken:
            cursor.run("ROLLBACK")
        return taken

    def holder(self) -> AtWork | None:
        """Return who has the lock, if that is visible."""
        with suppress(Exception):  # only a hint for the reader
            return self._line.ask(lambda one: self._dialect.server.at_work(Cursor(one.connection, one.dialect)))
        return None

    def fingerprint(self, table: str) -> Fingerprint | None:
        """See :meth:`alembic_rescue.dialects.base.Server.fingerprint`; None if it cannot be read."""
        return self._answer(lambda cursor: self._dialect.server.fingerprint(cursor, table), None)

    def is_committed(self, transaction: str) -> bool:
        """See :meth:`alembic_rescue.dialects.base.Server.is_committed`; True if that cannot be read."""
        return self._answer(lambda cursor: self._dialect.server.is_committed(cursor, transaction), True)

    def invalid_indexes(self) -> tuple[str, ...]:
        """See :meth:`alembic_rescue.dialects.base.Server.invalid_indexes`; none if they cannot be read."""
        return self._answer(self._dialect.server.invalid_indexes, ())

    def _answer(self, question: Callable[[Cursor], T], otherwise: T) -> T:
        with suppress(Exception):  # any driver's error; an older server may lack a catalog
            return self._asking.ask(lambda one: question(Cursor(one.connection, one.dialect)))
        return otherwise

    def ping(self) -> None:
        """Ping the session that holds the lock; raise the driver's error if the session is lost."""
        if self._dialect.has_rescue_lock:
            self._line.ask(lambda one: Cursor(one.connection, one.dialect).rows("SELECT 1"))

    def hang_up(self) -> None:
        """Drop the connections to a server that does not answer; never raises."""
        self._line.hang_up()
        self._asking.hang_up()

    def release(self) -> None:
        """Release the lock and close its connections; never raises."""
        self.is_held = False
        self._line.close()
        if self._asking is not self._line:
            self._asking.close()
