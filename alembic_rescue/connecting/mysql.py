"""What is MySQL's and MariaDB's own: what a session of theirs can be held to, which server it is, and who is at work.

What they cannot do is told to people by :mod:`alembic_rescue.findings`.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import weakref
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy.engine import URL, Dialect

from alembic_rescue import compat

DIALECTS = frozenset(["mysql", "mariadb"])
"""SQLAlchemy's names for them."""

_ASYNCHRONOUS = frozenset(["aiomysql", "asyncmy"])
_ENDING: weakref.WeakKeyDictionary[Any, Callable[[], None]] = weakref.WeakKeyDictionary()
"""For each of the drivers' own connections, what ends its statement, on another one made alike."""

Fetch = Callable[[str], list[tuple[Any, ...]]]
"""Runs a SELECT and returns its rows."""

TAKE_LOCK = "SELECT GET_LOCK(CONCAT('alembic-rescue ', SHA1(COALESCE(DATABASE(), ''))), 0)"
"""The lock against a second rescue.  Its name is the whole server's, so it has the database in it; the session has it
until it ends."""

_VARIABLES = """
    SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'hostname', 'port', 'datadir',
        'group_replication_group_name', 'wsrep_on', 'read_only', 'super_read_only', 'innodb_read_only',
        'tx_read_only', 'transaction_read_only')
"""
_SESSION = "SELECT DATABASE(), CURRENT_USER(), VERSION()"
_CIPHER = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
_CLUSTER = "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_state_uuid'"
_MAY_WRITE_ALL_THE_SAME = """
    SELECT 1 FROM information_schema.user_privileges
    WHERE privilege_type IN ('SUPER', 'READ ONLY ADMIN', 'READ_ONLY ADMIN', 'CONNECTION_ADMIN')
      AND grantee = CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''',
                           SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')
    LIMIT 1
"""
BLOCKERS = """
    SELECT p.id AS pid, p.user AS role, p.host AS client, p.command AS command, t.trx_state AS state,
           TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS age, COALESCE(p.info, '') AS query
    FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
    WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID() AND (t.trx_rows_locked > 0 OR t.trx_tables_locked > 0)
    ORDER BY age DESC, pid
"""
"""The open transactions that hold locks, in this database: on which table, neither server tells everybody.  Takes the
privilege PROCESS."""


def settings(lock_seconds: float, statement_seconds: float, *, read_only: bool, is_mariadb: bool) -> tuple[str, ...]:
    """The statements that set up a session.

    READ ONLY holds back every change of data and schema, temporary tables and sequences too (seen on MariaDB 10.11).
    It does not hold back ``ANALYZE TABLE``, nor a session that takes the setting back.  The locks' timeouts are in
    whole seconds.  MySQL has no timeout for statements other than SELECT.
    """
    lock = max(1, round(lock_seconds))
    held = (
        f"SET SESSION lock_wait_timeout = {lock}",
        f"SET SESSION innodb_lock_wait_timeout = {lock}",
        f"SET SESSION max_statement_time = {statement_seconds:g}"
        if is_mariadb
        else f"SET SESSION max_execution_time = {round(statement_seconds * 1000)}",
    )
    return (*held, "SET SESSION TRANSACTION READ ONLY") if read_only else held


def address(drivername: str, arguments: Mapping[str, Any]) -> URL:
    """The URL that a driver's connect arguments stand for, without password."""
    socket = arguments.get("unix_socket")
    port = str(arguments.get("port") or "")
    return URL.create(
        drivername,
        username=arguments.get("user"),
        host=None if socket else arguments.get("host") or "localhost",
        port=int(port) if port.isdigit() and not socket else None,
        database=arguments.get("database") or arguments.get("db"),
        query={"unix_socket": str(socket)} if socket else {},
    )


def facts(fetch: Fetch) -> Mapping[str, Any]:
    """What the server says of itself and of the session, in the words of :mod:`alembic_rescue.databases`."""
    ((database, role, version),) = fetch(_SESSION)
    variables: Mapping[str, str] = dict(fetch(_VARIABLES))
    return {
        "database": database or "",
        "role": role,
        "version": version,
        "encrypted": any(value for _, value in fetch(_CIPHER)),
        "server_id": _server_id(variables, database or "", fetch),
        "refuses_writes": _refuses_writes(variables, fetch),
    }


def server_id(fetch: Fetch) -> str:
    """Tells this database from every other: the cluster's id, else the server's own, and the database's name."""
    ((database, _, _),) = fetch(_SESSION)
    return _server_id(dict(fetch(_VARIABLES)), database or "", fetch)


def _server_id(variables: Mapping[str, str], database: str, fetch: Fetch) -> str:
    server = variables.get("group_replication_group_name") or variables.get("server_uuid")
    if variables.get("wsrep_on") == "ON":  # the members of a Galera cluster are one database
        server = next((value for _, value in fetch(_CLUSTER) if value), server)
    if not server:  # MariaDB's server_uid is the same for all servers of a host
        names = ("server_uid", "hostname", "port", "datadir")
        server = hashlib.sha256("\n".join(variables.get(name, "") for name in names).encode()).hexdigest()[:16]
    return f"{server}/{database}"


def _refuses_writes(variables: Mapping[str, str], fetch: Fetch) -> str | None:
    """Why the server takes no writes from this role; None where it takes them."""
    for name in ("super_read_only", "innodb_read_only", "tx_read_only", "transaction_read_only"):
        if variables.get(name) == "ON":
            return f"{name} is on"
    held = variables.get("read_only", "OFF") not in {"OFF", "0"}
    return "read_only is on, as on a replica" if held and not fetch(_MAY_WRITE_ALL_THE_SAME) else None


# --- what its drivers leave to others ----------------------------------------------------------------------------


def bound(driver: str, arguments: MutableMapping[str, Any], seconds: float, silent: Callable[[], Exception]) -> None:
    """Have the greeting of the server awaited no longer than the connection: the drivers' own timeout ends before.

    Not for an asynchronous driver before SQLAlchemy 2.0.16: there it waits.

    Args:
        silent: makes the error to raise where the driver has none of its own.
    """
    if driver == "pymysql":
        arguments.setdefault("read_timeout", max(1, round(seconds)))  # see made()
    elif driver in _ASYNCHRONOUS and compat.takes_async_creator():
        connect = arguments.get("async_creator_fn") or importlib.import_module(driver).connect

        async def in_time(*positional: Any, **named: Any) -> Any:
            try:
                return await asyncio.wait_for(_awaited(connect(*positional, **named)), seconds)
            except asyncio.TimeoutError as error:
                raise silent() from error

        arguments["async_creator_fn"] = in_time


async def _awaited(connecting: Awaitable[Any]) -> Any:
    return await connecting


def made(raw: Any, dialect: Dialect, cargs: Sequence[Any], arguments: Mapping[str, Any]) -> None:
    """To be called once the driver's connection `raw` is made, with what it was made by."""
    if type(raw).__module__.startswith("pymysql."):
        raw._read_timeout = None  # noqa: SLF001 - it would end the wait for a lock; checked up to PyMySQL 1.2
    given = {name: value for name, value in arguments.items() if name != "async_creator_fn"}
    with suppress(TypeError):  # a driver's connection without weak references cannot be cancelled
        _ENDING[raw] = partial(_kill, dialect, tuple(cargs), given, f"KILL QUERY {raw.thread_id()}")


def request_cancel(raw: Any) -> bool:
    """Ask the server, by a connection of its own, to end the statement that `raw` runs; False for other databases."""
    kill = _ENDING.get(raw)
    if kill is not None:
        kill()
    return kill is not None


def _kill(dialect: Dialect, cargs: Sequence[Any], arguments: Mapping[str, Any], statement: str) -> None:
    if dialect.driver in _ASYNCHRONOUS:
        asyncio.run(_kill_awaiting(dialect.driver, cargs, arguments, statement))
        return
    connection = dialect.connect(*cargs, **arguments)
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()


async def _kill_awaiting(driver: str, cargs: Sequence[Any], arguments: Mapping[str, Any], statement: str) -> None:
    connection = await importlib.import_module(driver).connect(*cargs, **arguments)
    async with connection.cursor() as cursor:
        await cursor.execute(statement)
    connection.close()
