"""The tool's sessions: their timeouts, who else blocks the version table, and the lock against a second rescue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import DBAPIError

from alembic_rescue.connecting import drivers, mysql
from alembic_rescue.connecting.held import HeldOpen
from alembic_rescue.errors import ConnectTimeout, RescueUnderWay
from alembic_rescue.model import Blocker

if TYPE_CHECKING:
    from sqlalchemy.pool import PoolProxiedConnection

RESCUE_LOCK = 0x616C656D_62696372
"""Key of the advisory lock ("alembicr"): one for each database, because PostgreSQL keeps advisory locks by
database.  Held means: an alembic-rescue is between its last look and its verification there."""


@dataclass(frozen=True)
class Timeouts:
    """In seconds, on every connection that the tool causes."""

    lock: float = 5.0
    statement: float = 30.0
    connect: float = 10.0


def connect_arguments(driver: str, timeouts: Timeouts) -> Mapping[str, int]:
    """What to add to the connect arguments where env.py set nothing itself."""
    name = drivers.CONNECT_TIMEOUT.get(driver)
    return {name: max(1, round(timeouts.connect))} if name else {}


def settings(dialect: Dialect, timeouts: Timeouts, *, read_only: bool) -> tuple[str, ...]:
    """The statements that set up a session; none for a dialect that has no such settings."""
    statement = max(timeouts.statement, timeouts.lock + 1)
    if dialect.name in mysql.DIALECTS:
        is_mariadb = bool(getattr(dialect, "is_mariadb", False))
        return mysql.settings(timeouts.lock, statement, read_only=read_only, is_mariadb=is_mariadb)
    if dialect.name == "postgresql":
        held: tuple[str, ...] = (
            f"SET lock_timeout = {round(timeouts.lock * 1000)}",
            f"SET statement_timeout = {round(statement * 1000)}",
        )
        return (*held, "SET default_transaction_read_only = on") if read_only else held
    if dialect.name == "sqlite":
        held = (f"PRAGMA busy_timeout = {round(timeouts.lock * 1000)}",)
        return (*held, "PRAGMA query_only = ON") if read_only else held
    return ()


def query(connection: Connection, sql: str, **values: object) -> list[dict[str, Any]]:
    """Run one of the tool's own SELECTs and return the rows as mappings (SQLAlchemy 1.4 and 2 alike)."""
    return [dict(row) for row in connection.execute(text(sql), values).mappings()]


_BACKEND = "SELECT pid, backend_start::text FROM pg_catalog.pg_stat_activity WHERE pid = {pid}"


def backend(connection: Connection) -> tuple[int, str]:
    """The server's process behind `connection`, and when it began, asked through the driver's cursor; (0, "") where
    the dialect does not tell.
    """
    if connection.dialect.name != "postgresql":
        return 0, ""
    pid, started = _fetch(connection, _BACKEND.format(pid="pg_catalog.pg_backend_pid()"))[0]
    return int(pid), str(started)


def is_running(connection: Connection, pid: int, started: str) -> bool:
    """Whether the process that :func:`backend` told still runs."""
    if not pid:
        return False
    return any(str(found) == started for _, found in _fetch(connection, _BACKEND.format(pid=int(pid))))


def _fetch(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]
    finally:
        cursor.close()


def qualified(dialect: Dialect, table: str, schema: str | None) -> str:
    """A table's name as SQL, quoted where the dialect needs it."""
    quote = dialect.identifier_preparer.quote
    return f"{quote(schema)}.{quote(table)}" if schema else str(quote(table))


_BLOCKERS = """
    WITH here AS (
        SELECT l.* FROM pg_catalog.pg_locks l
         WHERE l.pid <> ALL (:own) AND l.pid <> pg_catalog.pg_backend_pid()
           AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
           AND (l.locktype IN ('relation', 'tuple') AND l.relation = to_regclass(:table)::oid
                OR l.locktype = 'advisory')
        UNION ALL  -- whoever waits for another's row waits for the end of that one's transaction
        SELECT l.* FROM pg_catalog.pg_locks l WHERE l.locktype = 'transactionid' AND NOT l.granted
           AND l.pid IN (SELECT pid FROM pg_catalog.pg_locks
                          WHERE locktype = 'relation' AND relation = to_regclass(:table)::oid)
           AND l.pid <> ALL (:own) AND l.pid <> pg_catalog.pg_backend_pid()
    )
    SELECT l.pid, coalesce(nullif(a.application_name, ''), a.backend_type, '') AS application,
           coalesce(a.usename, '') AS role,
           CASE WHEN a.client_addr IS NOT NULL THEN host(a.client_addr)
                WHEN a.backend_start IS NOT NULL THEN 'local' ELSE '' END AS client,
           coalesce(a.state, '') AS state,
           extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.query_start, a.backend_start))::float8
               AS age,
           coalesce(a.query, '') AS query, l.locktype, l.mode, l.granted,
           CASE WHEN l.granted THEN '{}' ELSE pg_catalog.pg_blocking_pids(l.pid) END AS awaited
    FROM here l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    ORDER BY age DESC NULLS LAST, l.pid, l.granted DESC, l.mode
"""
_HINDERS_ROW_WRITES = frozenset(
    ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"]
    + ["RowShareLock", "RowExclusiveLock"]
)
"""Table lock modes with which a session can keep an UPDATE waiting: those that conflict with ROW EXCLUSIVE
(PostgreSQL's table 13.2), and those that come with a lock on a row: ROW SHARE (``SELECT ... FOR UPDATE``) and
ROW EXCLUSIVE itself (an uncommitted change)."""
_QUERY_LENGTH = 120
NOT_SHOWN = "not shown to this role"
"""PostgreSQL shows what a session does only to its own role, to superusers and to ``pg_read_all_stats``."""


def blockers(
    connection: Connection, table: str, hide: Callable[[str], str], own: Collection[int] = ()
) -> tuple[Blocker, ...]:
    """Who holds or awaits a lock on `table` (as ``regclass`` reads it), or an advisory lock in its database.

    Empty on SQLite, and on MySQL and MariaDB for a role without the privilege PROCESS.

    Args:
        connection: through which to ask.
        table: the version table, quoted.
        hide: takes the secrets out of another session's query.
        own: the process ids of the tool's own sessions, which are no news.
    """
    if connection.dialect.name in mysql.DIALECTS:
        return _mysql_blockers(connection, hide, own)
    if connection.dialect.name != "postgresql":
        return ()
    sessions: dict[int, list[dict[str, Any]]] = {}
    for lock in query(connection, _BLOCKERS, table=table, own=[0, *own]):
        sessions.setdefault(lock["pid"], []).append(lock)
    return tuple(_blocker(locks, table, hide) for locks in sessions.values())


def _mysql_blockers(connection: Connection, hide: Callable[[str], str], own: Collection[int]) -> tuple[Blocker, ...]:
    """The open transactions that hold locks in this database; that one is on the version table cannot be told."""
    try:
        found = query(connection, mysql.BLOCKERS)
    except DBAPIError:  # not permitted
        return ()
    return tuple(
        Blocker(
            pid=one["pid"],
            application=NOT_SHOWN,
            role=one["role"],
            client=str(one["client"]) or NOT_SHOWN,
            state=f"{one['command']}, transaction {one['state']}".lower(),
            age_seconds=None if one["age"] is None else float(one["age"]),
            query=_shortened(one["query"], hide),
            locks=("in an open transaction",),
            awaits=(),
            blocks=(),
            end_command=f"KILL {one['pid']};",
        )
        for one in found
        if one["pid"] not in own
    )


def _shortened(sql: str, hide: Callable[[str], str]) -> str:
    words = " ".join(hide(sql).split())
    return words if len(words) <= _QUERY_LENGTH else words[: _QUERY_LENGTH - 3] + "..."


def _blocker(locks: list[dict[str, Any]], table: str, hide: Callable[[str], str]) -> Blocker:
    one = locks[0]
    hinders = any(lk["locktype"] == "relation" and lk["granted"] and lk["mode"] in _HINDERS_ROW_WRITES for lk in locks)
    hidden = not one["state"]
    return Blocker(
        pid=one["pid"],
        application=hide(one["application"]) or NOT_SHOWN,
        role=one["role"],
        client=one["client"] or NOT_SHOWN,
        state=one["state"] or NOT_SHOWN,
        age_seconds=None if one["age"] is None else round(float(one["age"]), 1),
        query="" if hidden else _shortened(one["query"], hide),
        locks=tuple(dict.fromkeys(_mode(lock) for lock in locks if lock["granted"] and lock["locktype"] != "tuple")),
        awaits=tuple(dict.fromkeys(_mode(lock) + _held_by(lock) for lock in locks if not lock["granted"])),
        blocks=(table,) if hinders else (),
        end_command=f"SELECT pg_terminate_backend({one['pid']});",
    )


def _mode(lock: Mapping[str, Any]) -> str:
    kinds = {"advisory": "advisory lock", "transactionid": "a row", "tuple": "a row"}
    return kinds.get(lock["locktype"], str(lock["mode"]))


def _held_by(lock: Mapping[str, Any]) -> str:
    return f" (after {', '.join(f'pid {pid}' for pid in sorted(set(lock['awaited'])))})" if lock["awaited"] else ""


def own_engine(engine: Engine) -> Engine:
    """An engine with the same way of connecting, and none of the connections: env.py's pool may have no room."""
    return Engine(engine.pool.recreate(), engine.dialect, engine.url)


class RescueLock:
    """The lock against a second rescue, on a connection of its own that outlives env.py's.

    On PostgreSQL a *transaction's* advisory lock, in a transaction kept open: unlike a session's, it cannot stay behind
    on a server connection that a pooler in transaction mode hands to somebody else.  MySQL and MariaDB have only a
    session's.  Elsewhere the compare-and-swap on the rows alone holds.
    """

    def __init__(self) -> None:
        self._let_go: Callable[[], None] | None = None

    def take(self, engine: Engine, timeouts: Timeouts, database: str) -> None:
        """Take the lock, with the credentials of `engine` but outside its pool (which may have no room).

        Raises:
            RescueUnderWay: another one holds it.
        """
        if engine.dialect.name not in {"postgresql", *mysql.DIALECTS} or self._let_go:
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
        if not held.came_about(timeouts.connect + timeouts.statement):
            raise ConnectTimeout(database, "the connection for the lock against a second rescue did not come about")
        return held.outcome()

    def release(self) -> None:
        """Let go; never raises, because a lost connection has let go already."""
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            with suppress(Exception):  # any driver's error: the server ends the lock with the session
                let_go()


def _lock(connection: PoolProxiedConnection, dialect: Dialect, timeouts: Timeouts) -> bool:
    """Begin a transaction, and take the lock for its time; False where another has it."""
    cursor = connection.cursor()
    if dialect.name in mysql.DIALECTS:
        cursor.execute(mysql.TAKE_LOCK)
        row = cursor.fetchone()
        return bool(row and row[0])
    cursor.execute("BEGIN")  # the engine may be set to AUTOCOMMIT; elsewhere the server only notes it
    for statement in settings(dialect, timeouts, read_only=False):
        cursor.execute(statement.replace("SET ", "SET LOCAL ", 1))
    cursor.execute("SET LOCAL application_name = 'alembic-rescue'")
    cursor.execute(f"SELECT pg_try_advisory_xact_lock({RESCUE_LOCK})")
    row = cursor.fetchone()
    return bool(row and row[0])
