"""Record statements that bypass SQLAlchemy: those sent by a driver's own cursors and connections."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy.pool import Pool

from alembic_rescue.compat import driver_connection
from alembic_rescue.connection.connections import listening

Told = Callable[[str, Any], None]
"""Called with a statement and its parameters."""

_METHODS = {
    "psycopg": (
        *(
            f"{kind}.{name}"
            for kind in ("Cursor", "AsyncCursor")
            for name in ("execute", "executemany", "copy", "stream")
        ),
        *(f"{kind}.execute" for kind in ("ServerCursor", "AsyncServerCursor")),
    ),
    "asyncpg": tuple(
        f"Connection.{name}"
        for name in ("execute", "executemany", "fetch", "fetchrow", "fetchval", "cursor", "prepare")
    ),
    "pg8000.dbapi": ("Cursor.execute", "Cursor.executemany"),
    "pg8000.native": ("Connection.run",),
    "pymysql.cursors": ("Cursor.execute", "Cursor.executemany"),
    "MySQLdb.cursors": ("BaseCursor.execute", "BaseCursor.executemany"),
    "aiomysql.cursors": ("Cursor.execute", "Cursor.executemany"),
    "asyncmy.cursors": ("Cursor.execute", "Cursor.executemany"),
}
"""By module: the methods whose first argument is a statement.  All are public, except for MySQLdb's class."""


class Taps:
    """Reports each statement that is passed to a driver, including SQLAlchemy's own.

    Args:
        told: called before the statement is sent.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self._changed: list[tuple[Any, str, Any]] = []
        self._of_psycopg2: Any = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Report during the block."""
        try:
            with listening((Pool, "connect", self._connected), (Pool, "checkout", self._connected)):
                self.reach()
                yield
        finally:
            for owner, name, original in reversed(self._changed):
                setattr(owner, name, original)
            self._changed.clear()

    def reach(self) -> None:
        """Patch the drivers that have been imported by now."""
        for module, methods in _METHODS.items():
            for method in methods if module in sys.modules else ():
                kind, _, name = method.partition(".")
                with suppress(AttributeError, TypeError):  # a version without it, or an immutable class
                    self._tap(getattr(sys.modules[module], kind), name)
        if "psycopg2" in sys.modules:
            self._tap_psycopg2(sys.modules["psycopg2"])

    def _tap(self, owner: Any, name: str) -> None:
        original = vars(owner)[name] if name in vars(owner) else getattr(owner, name)
        if getattr(original, "tapped", False):
            return

        @functools.wraps(original)
        def tapped(this: Any, *given: Any, **named: Any) -> Any:
            self._tell(given, named)
            return original(this, *given, **named)

        tapped.tapped = True  # type: ignore[attr-defined]
        if inspect.iscoroutinefunction(original) and sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(tapped)
        setattr(owner, name, tapped)
        self._changed.append((owner, name, original))

    def _tell(self, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        sql = given[0] if given else next((named[name] for name in ("query", "sql", "operation") if name in named), "")
        self._told(_text(sql), given[1] if len(given) > 1 else named.get("params", named.get("vars")))

    # --- psycopg2 and sqlite3, whose classes are immutable -------------------------------------------------------

    def _tap_psycopg2(self, module: Any) -> None:
        original = module.connect
        if getattr(original, "tapped", False):
            return

        @functools.wraps(original)
        def connect(*given: Any, **named: Any) -> Any:
            return self._with_cursors(original(*given, **named))

        connect.tapped = True  # type: ignore[attr-defined]
        module.connect = connect
        self._changed.append((module, "connect", original))

    def _connected(self, dbapi_connection: Any, *_: Any) -> None:
        self.reach()
        raw = driver_connection(dbapi_connection)
        if type(raw).__module__.startswith("psycopg2"):
            self._with_cursors(raw)
        elif hasattr(raw, "set_trace_callback"):  # sqlite3
            raw.set_trace_callback(lambda sql: self._told(sql, None))

    def _with_cursors(self, raw: Any) -> Any:
        """Return `raw` with its cursor class replaced by one that reports statements."""
        if not getattr(raw.cursor_factory, "tapped", False):
            raw.cursor_factory = self._seen(raw.cursor_factory or sys.modules["psycopg2.extensions"].cursor)
        return raw

    def _seen(self, base: Any) -> Any:
        """Return a subclass of a psycopg2 cursor that reports statements."""
        tell = self._tell

        def telling(name: str) -> Any:
            def method(this: Any, *given: Any, **named: Any) -> Any:
                tell(given, named)
                return getattr(base, name)(this, *given, **named)

            return method

        names = ("execute", "executemany", "copy_expert", "callproc", "copy_from", "copy_to")
        return type(base.__name__, (base,), {"tapped": True, **{name: telling(name) for name in names}})


def _text(sql: Any) -> str:
    """Return a statement as text: psycopg accepts text, bytes and its own composed SQL."""
    if isinstance(sql, bytes):
        return sql.decode("utf-8", "replace")
    if isinstance(sql, str):
        return sql
    with suppress(Exception):
        return str(sql.as_string(None))
    return str(sql)
