"""PyMySQL, mysqlclient, aiomysql and asyncmy."""

from __future__ import annotations

import asyncio
import importlib
import weakref
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import partial, wraps
from typing import Any

from sqlalchemy.engine import URL, Dialect

from alembic_rescue import compat
from alembic_rescue.dialects import base
from alembic_rescue.dialects.base import MadeBy
from alembic_rescue.when_imported import Change

PACKAGES = frozenset(["pymysql", "MySQLdb", "aiomysql", "asyncmy"])
"""Their module names."""

_NAMES = frozenset(["mysql", "mariadb"])
_ASYNCHRONOUS = frozenset(["aiomysql", "asyncmy"])
_HELD = "SET SESSION TRANSACTION READ ONLY"
_ENDING: weakref.WeakKeyDictionary[Any, Callable[[], None]] = weakref.WeakKeyDictionary()
"""For each driver connection, a function that ends its statement from a second connection with the same arguments."""


class Drivers(base.Drivers):
    """Drivers without a function to cancel a statement: a second connection ends it."""

    packages = PACKAGES
    connect_timeout: Mapping[str, str] = dict.fromkeys(("pymysql", "mysqldb", "aiomysql", "asyncmy"), "connect_timeout")

    def address(self, drivername: str, positional: Sequence[Any], named: Mapping[str, Any]) -> URL:
        """Return the URL; a socket takes precedence over a host."""
        socket = named.get("unix_socket")
        port = str(named.get("port") or "")
        return URL.create(
            drivername,
            username=named.get("user"),
            host=None if socket else named.get("host") or "localhost",
            port=int(port) if port.isdigit() and not socket else None,
            database=named.get("database") or named.get("db"),
            query={"unix_socket": str(socket)} if socket else {},
        )

    def held_when_imported(self, is_held: Callable[[], bool]) -> Mapping[str, Change]:
        """Make sessions read-only with ``init_command``, unless env.py sets its own."""
        modules = ("pymysql.connections", "MySQLdb.connections", "aiomysql.connection")
        return dict.fromkeys(modules, partial(_hold_by_itself, is_held))

    def bound(
        self, driver: str, named: MutableMapping[str, Any], seconds: float, silent: Callable[[], Exception]
    ) -> None:
        """Limit the wait for the greeting, which the drivers' own connect timeout does not cover.

        An asynchronous driver with SQLAlchemy before 2.0.16 is not limited.
        """
        if driver == "pymysql":
            named.setdefault("read_timeout", max(1, round(seconds)))  # see made()
        elif driver in _ASYNCHRONOUS and compat.takes_async_creator():
            connect = named.get("async_creator_fn") or importlib.import_module(driver).connect

            async def in_time(*positional: Any, **others: Any) -> Any:
                try:
                    return await asyncio.wait_for(_awaited(connect(*positional, **others)), seconds)
                except asyncio.TimeoutError as error:
                    raise silent() from error

            named["async_creator_fn"] = in_time

    def made(self, raw: Any, made_by: MadeBy | None) -> None:
        """Remember how to end the connection's statements."""
        if made_by is None or made_by.dialect.name not in _NAMES:
            return
        if type(raw).__module__.startswith("pymysql."):
            raw._read_timeout = None  # noqa: SLF001 - it would end the wait for a lock; checked up to PyMySQL 1.2
        given = {name: value for name, value in made_by.named.items() if name != "async_creator_fn"}
        with suppress(TypeError):  # a driver's connection without weak references cannot be cancelled
            _ENDING[raw] = partial(_kill, made_by.dialect, made_by.positional, given, f"KILL QUERY {raw.thread_id()}")

    def descriptor(self, raw: Any) -> int | None:
        """Return the descriptor; ``_sock`` (PyMySQL) and ``_writer`` (aiomysql, asyncmy) are private.

        Checked up to PyMySQL 1.2, aiomysql 0.3 and asyncmy 0.2.
        """
        if type(raw).__module__.partition(".")[0] not in PACKAGES:
            return None
        if hasattr(raw, "fileno"):  # mysqlclient
            return int(raw.fileno())
        sock = raw._sock if hasattr(raw, "_sock") else raw._writer.get_extra_info("socket")  # noqa: SLF001
        return int(sock.fileno())

    def cancel(self, raw: Any, seconds: float) -> bool:
        """Cancel on a second connection."""
        try:
            kill = _ENDING.get(raw)
        except TypeError:  # another dialect's, without weak references
            return False
        if kill is not None:
            kill()
        return kill is not None


def _hold_by_itself(is_held: Callable[[], bool], module: Any) -> None:
    initialise = module.Connection.__init__
    if getattr(initialise, "held_by_itself", False):
        return

    @wraps(initialise)
    def held(self: Any, *arguments: Any, **named: Any) -> None:
        if is_held() and not named.get("init_command"):
            named["init_command"] = _HELD
        initialise(self, *arguments, **named)

    held.held_by_itself = True  # type: ignore[attr-defined]
    module.Connection.__init__ = held


async def _awaited(connecting: Awaitable[Any]) -> Any:
    return await connecting


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
