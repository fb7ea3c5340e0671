"""Restore what a migration changes in the process that it shares with the next one."""

from __future__ import annotations

import contextlib
import locale
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

Restore = Callable[[], None]

_MODULES = """
    builtins datetime os random subprocess time uuid
    alembic alembic.op alembic.context alembic.util alembic.operations alembic.operations.base alembic.ddl.impl
    sqlalchemy sqlalchemy.schema sqlalchemy.types sqlalchemy.sql sqlalchemy.engine sqlalchemy.engine.base
    sqlalchemy.engine.create sqlalchemy.inspection sqlalchemy.orm sqlalchemy.ext.asyncio sqlalchemy.dialects.postgresql
    psycopg2 psycopg2._psycopg psycopg2.extensions psycopg2.extras psycopg psycopg.generators psycopg.connection
    psycopg.connection_async psycopg.pq asyncpg asyncpg.connection asyncpg.connect_utils pg8000 pg8000.core
    _sqlite3 sqlite3 sqlite3.dbapi2 pymysql pymysql.connections aiomysql aiomysql.connection
""".split()  # noqa: SIM905 - one name per line would take three screens
"""Modules that migrations patch in practice.  Not all modules, because there may be thousands of revisions."""
_CLASSES = (
    ("alembic.operations.base", "Operations"),
    ("alembic.runtime.migration", "MigrationContext"),
    ("alembic.runtime.environment", "EnvironmentContext"),
    ("sqlalchemy.engine.base", "Connection"),
    ("sqlalchemy.engine.base", "Engine"),
)
_STREAMS = (0, 1, 2)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Undo the effects of the block on the process.

    Restores the working directory, the environment, ``sys.path`` and ``sys.argv``, signal handlers (in the main
    thread), the standard streams (even closed ones), loggers, warning filters, the locale, the umask, exception hooks,
    and functions and classes of Alembic, SQLAlchemy, the drivers and parts of the standard library.  Does not restore
    other state, event listeners or threads.
    """
    restore = [make() for make in _KINDS]
    try:
        yield
    finally:
        for one in reversed(restore):
            with contextlib.suppress(OSError, ValueError):
                one()


def _directory() -> Restore:
    try:
        here = os.open(".", os.O_RDONLY)
    except OSError:
        return lambda: None

    def restore() -> None:
        os.fchdir(here)
        os.close(here)

    return restore if hasattr(os, "fchdir") else lambda: os.close(here)


def _environment() -> Restore:
    saved = dict(os.environ)

    def restore() -> None:
        if dict(os.environ) != saved:
            os.environ.clear()
            os.environ.update(saved)

    return restore


def _lists() -> Restore:
    places = ((sys, "path"), (sys, "argv"), (sys, "meta_path"), (sys, "path_hooks"), (warnings, "filters"))
    saved = [(owner, name, getattr(owner, name), list(getattr(owner, name))) for owner, name in places]

    def restore() -> None:
        for owner, name, one, items in saved:
            setattr(owner, name, one)
            if one != items:
                one[:] = items
        getattr(warnings, "_filters_mutated", lambda: None)()  # makes Python read its filters again

    return restore


def _signals() -> Restore:
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    saved = {number: signal.getsignal(number) for number in signal.valid_signals()}
    timer = signal.getitimer(signal.ITIMER_REAL) if hasattr(signal, "getitimer") else None

    def restore() -> None:
        if timer is not None and signal.getitimer(signal.ITIMER_REAL) != timer:
            signal.setitimer(signal.ITIMER_REAL, *timer)
        for number, handler in saved.items():
            if handler is not None and signal.getsignal(number) is not handler:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, handler)

    return restore


def _streams() -> Restore:
    names = ("stdin", "stdout", "stderr")
    saved = {name: getattr(sys, name) for name in names}
    copies: dict[int, int] = {}
    for number in _STREAMS:
        with contextlib.suppress(OSError):
            copies[number] = os.dup(number)

    def restore() -> None:
        for number, copy in copies.items():
            if not _same(number, copy):
                os.dup2(copy, number)
            os.close(copy)
        for number, name in enumerate(names):
            stream = saved[name]
            if stream is not None and getattr(stream, "closed", False) and number in copies:
                mode = "r" if number == 0 else "w"
                stream = open(number, mode, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)

    return restore


def _same(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


def _loggers() -> Restore:
    def state(logger: logging.Logger) -> tuple[Any, ...]:
        return logger.level, logger.disabled, logger.propagate, list(logger.handlers), list(logger.filters)

    manager = logging.Logger.manager
    saved = {
        logger: state(logger)
        for logger in (logging.root, *manager.loggerDict.values())
        if isinstance(logger, logging.Logger)
    }
    disabled = manager.disable

    def restore() -> None:
        manager.disable = disabled
        for logger, before in saved.items():
            if state(logger) != before:
                level, logger.disabled, logger.propagate, handlers, filters = before
                logger.setLevel(level)
                logger.handlers[:], logger.filters[:] = handlers, filters

    return restore


def _settings() -> Restore:
    place = locale.setlocale(locale.LC_ALL)
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook
    limit, wait, mask = sys.getrecursionlimit(), socket.getdefaulttimeout(), os.umask(0o077)
    os.umask(mask)

    def restore() -> None:
        sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook = hooks
        sys.setrecursionlimit(limit)
        socket.setdefaulttimeout(wait)
        os.umask(mask)
        if locale.setlocale(locale.LC_ALL) != place:
            with contextlib.suppress(locale.Error):
                locale.setlocale(locale.LC_ALL, place)

    return restore


def _functions() -> Restore:
    owners = [sys.modules.get(name) for name in _MODULES]
    owners += [getattr(sys.modules.get(module), name, None) for module, name in _CLASSES]
    saved = [(owner, dict(vars(owner))) for owner in owners if owner is not None]

    def restore() -> None:
        for owner, before in saved:
            now = vars(owner)
            for name in [name for name, value in before.items() if now.get(name) is not value]:
                if _is_code(before[name]):
                    setattr(owner, name, before[name])

    return restore


def _is_code(value: object) -> bool:
    """Whether `value` is a function, a class or the like: anything else in a module is state, which is kept."""
    return callable(value) or isinstance(value, (classmethod, staticmethod, property))


_KINDS: tuple[Callable[[], Restore], ...] = (
    _directory,
    _environment,
    _lists,
    _signals,
    _streams,
    _loggers,
    _settings,
    _functions,
)
