"""Redirect SQLite files to those of the scratch databases, and refuse to attach others.

In-memory databases are left alone.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any
from urllib.parse import quote, unquote

from alembic_rescue.worker.isolation.refusal import Refused
from alembic_rescue.worker.isolation.routes import Routes

Current = Callable[[], Routes]

_ATTACH, _OK, _DENY = 24, 0, 1
"""SQLite's codes for an authorizer's action and return values."""
_IN_MEMORY = "mode=memory"


def sqlite3(module: ModuleType, routes: Current) -> None:
    """Patch ``connect`` and ``Connection`` in ``sqlite3``, ``sqlite3.dbapi2`` or their C module."""
    original = module.connect
    if getattr(original, "led_away", False):
        return
    module.Connection = connection = _class(module.Connection, routes)  # type: ignore[attr-defined]

    @functools.wraps(original)
    def connect(database: Any, *arguments: Any, **more: Any) -> Any:
        if len(arguments) < _FACTORY:
            more.setdefault("factory", connection)
        return original(led(database, routes()), *arguments, **more)  # `factory` may derive from the unpatched class

    connect.led_away = True  # type: ignore[attr-defined]
    module.connect = connect  # type: ignore[attr-defined]


_FACTORY = 5
"""Position of the factory among the arguments after the path."""


@functools.cache
def _class(original: Any, routes: Current) -> Any:
    if getattr(original, "led_away", False):
        return original

    class Connection(original):  # type: ignore[misc]
        led_away = True

        def __init__(self, database: Any, *arguments: Any, **more: Any) -> None:
            super().__init__(led(database, routes()), *arguments, **more)
            super().set_authorizer(self._authorized(None))

        def set_authorizer(self, authorizer_callback: Any) -> None:
            super().set_authorizer(self._authorized(authorizer_callback))

        @staticmethod
        def _authorized(others: Any) -> Any:
            def decide(action: int, first: Any, *more: Any) -> Any:
                if action == _ATTACH and not _attachable(first, routes()):
                    return _DENY
                return others(action, first, *more) if others else _OK

            return decide

    Connection.__module__ = original.__module__
    Connection.__qualname__ = original.__qualname__
    return Connection


def led(database: Any, routes: Routes) -> Any:
    """Return the path or URI of the scratch database's file."""
    if not isinstance(database, (str, bytes, os.PathLike)):
        return database
    text = os.fsdecode(database)
    if not text.startswith("file:"):
        return routes.to_file(text)
    path, mark, query = text[len("file:") :].partition("?")
    name = unquote(path[len("//localhost") :] if path.startswith("//localhost/") else path)
    if _IN_MEMORY in query or name in {":memory:", ""}:
        return database
    if name.startswith("//"):
        name = name[name.find("/", 2) :]
    return f"file:{quote(routes.to_file(name))}{mark}{query}"


def _attachable(path: Any, routes: Routes) -> bool:
    text = str(path if path is not None else "a file whose name is not in the statement")
    if text in {"", ":memory:"} or (text.startswith("file:") and _IN_MEMORY in text):
        return True
    if text.startswith("file:"):
        text = unquote(text[len("file:") :].partition("?")[0])
    if routes.is_scratch_file(text):
        return True
    try:
        routes.refuse_file(text)
    except Refused:
        return False
    return False
