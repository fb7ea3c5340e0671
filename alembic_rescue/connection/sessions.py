"""The tool's sessions: their timeouts, who blocks the version table, and the lock against a second rescue."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy.engine import Connection, Dialect, Engine

from alembic_rescue import dialects
from alembic_rescue.connection.held import HeldOpen
from alembic_rescue.dialects.cursor import Cursor
from alembic_rescue.errors import ConnectTimeout, RescueUnderWay
from alembic_rescue.model import Blocker

if TYPE_CHECKING:
    from sqlalchemy.pool import PoolProxiedConnection

_LATE_SECONDS = 1
"""How long to wait after the server's own timeout before asking it to cancel."""
_MOST_TABLES = 5
"""The maximum number of tables to ask about lock holders for."""
_OWN: weakref.WeakSet[Engine] = weakref.WeakSet()
GRACE_SECONDS = 3
"""How long after the cancel request to shut the connection down."""


@dataclass(frozen=True)
class Timeouts:
    """In seconds, for every connection that the tool causes."""

    lock: float = 5.0
    statement: float = 30.0
    connect: float = 10.0

    @property
    def longest_statement(self) -> float:
        """The server's limit for a statement: longer than the lock timeout, so that the error is about the lock."""
        return max(self.statement, self.lock + 1)

    @property
    def longest_wait(self) -> float:
        """How long to wait here for an answer: the server's own limit, plus a margin."""
        return self.longest_statement + _LATE_SECONDS + GRACE_SECONDS


def connect_arguments(dialect: Dialect, timeouts: Timeouts) -> Mapping[str, int]:
    """Return what to add to the connect arguments if env.py set nothing itself."""
    name = dialects.of(dialect.name).drivers.connect_timeout.get(dialect.driver)
    return {name: max(1, round(timeouts.connect))} if name else {}


def settings(dialect: Dialect, timeouts: Timeouts, *, read_only: bool) -> tuple[str, ...]:
    """Return the statements that set up a session; none for a dialect without such settings."""
    server = dialects.of(dialect.name).server
    return server.settings(dialect, timeouts.lock, timeouts.longest_statement, read_only=read_only)


def backend(connection: Connection) -> tuple[int, str]:
    """Return the server process of `connection` and its start time; (0, "") if unknown.  Uses the driver's cursor."""
    return dialects.of(connection.dialect.name).server.backend(Cursor(connection.connection, connection.dialect))


def is_running(connection: Connection, pid: int, started: str) -> bool:
    """Return whether the process from :func:`backend` is still running."""
    return bool(pid) and dialects.of(connection.dialect.name).server.is_running(connection, pid, started)


def qualified(dialect: Dialect, table: str, schema: str | None) -> str:
    """Return a table's name as SQL, quoted if the dialect needs it."""
    quote = dialect.identifier_preparer.quote
    return f"{quote(schema)}.{quote(table)}" if schema else str(quote(table))


def blockers(
    connection: Connection, table: str, hide: Callable[[str], str], own: Collection[int] = ()
) -> tuple[Blocker, ...]:
    """Return the sessions that hold or await a lock on `table` (as ``regclass`` reads it), or an advisory lock.

    Advisory locks count in the table's database.  Empty on SQLite, and on MySQL and MariaDB for a role without the
    privilege PROCESS.

    Args:
        connection: the connection for the queries.
        table: the version table, quoted.
        hide: removes secrets from another session's query.
        own: the process ids of the tool's own sessions, which are left out.
    """
    return dialects.of(connection.dialect.name).server.blockers(connection, table, hide, own)


def holders(
    connection: Connection, tables: Collection[str], hide: Callable[[str], str], own: Collection[int] = ()
) -> tuple[Blocker, ...]:
    """Return the sessions that have locked these tables, each once, with what they wait for; see :func:`blockers`."""
    found: dict[int | str, Blocker] = {}
    for table in list(tables)[:_MOST_TABLES]:
        for one in blockers(connection, table, hide, own):
            if one.blocks:
                before = found.get(one.who)
                found[one.who] = replace(one, blocks=(*(before.blocks if before else ()), table))
    return tuple(found.values())


def own_engine(engine: Engine) -> Engine:
    """Return an engine that connects the same way, with an empty pool: env.py's pool may be full."""
    own = Engine(engine.pool.recreate(), engine.dialect, engine.url)
    _OWN.add(own)
    return own


def is_own(engine: Engine) -> bool:
    """Return whether :func:`own_engine` made it."""
    return engine in _OWN


class RescueLock:
    """The lock against a second rescue, on a separate connection that outlives env.py's.

    On a dialect without such a lock, only the compare-and-swap on the rows protects them.
    """

    def __init__(self) -> None:
        self._let_go: Callable[[], None] | None = None

    def take(self, engine: Engine, timeouts: Timeouts, database: str) -> None:
        """Take the lock, with the credentials of `engine` but outside its pool (which may be full).

        Raises:
            RescueUnderWay: another session holds it.
        """
        if not dialects.of(engine.dialect.name).has_rescue_lock or self._let_go:
            return
        take = self._take_awaiting if engine.dialect.is_async else self._take
        if not take(engine, timeouts, database):
            self.release()
            raise RescueUnderWay(database)

    def _take(self, engine: Engine, timeouts: Timeouts, _database: str) -> bool:
        held = engine.pool.recreate().connect()
        self._let_go = held.invalidate  # ends the session, whatever kind of pool this is, and rolls nothing back
        return _lock(held, engine.dialect, timeouts)

    def _take_awaiting(self, engine: Engine, timeouts: Timeouts, database: str) -> bool:
        held = HeldOpen(own_engine(engine), lambda connection: _lock(connection.connection, engine.dialect, timeouts))
        self._let_go = held.release
        if not held.came_about(timeouts.connect + timeouts.longest_wait + GRACE_SECONDS):
            raise ConnectTimeout(database, "the connection for the rescue lock could not be opened")
        return held.outcome()

    def release(self) -> None:
        """Release the lock; never raises, because a lost connection has already released it."""
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            with suppress(Exception):  # any driver's error: the server releases the lock with the session
                let_go()


def _lock(connection: PoolProxiedConnection, dialect: Dialect, timeouts: Timeouts) -> bool:
    """Take the lock; return False if another session has it."""
    held = settings(dialect, timeouts, read_only=False)
    return dialects.of(dialect.name).server.take_rescue_lock(Cursor(connection, dialect), held)
