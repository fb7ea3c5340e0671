"""Objects and errors of an unknown driver: each known dialect checks whether they are its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from sqlalchemy.engine import URL

from alembic_rescue import dialects
from alembic_rescue.dialects.base import MadeBy
from alembic_rescue.errors import RescueError, said

_ASKING_SECONDS = 2


@cache
def packages() -> frozenset[str]:
    """Return the import names of the known drivers."""
    return frozenset().union(*(one.drivers.packages for one in dialects.known()))


def commits_each(connection: Any) -> bool:
    """Whether the driver is in autocommit mode."""
    raw: Any = connection.connection
    return getattr(raw, "autocommit", False) is True or getattr(raw, "isolation_level", None) == "autocommit"


def error_code(error: BaseException | None) -> str | None:
    """Return the server's code in a driver's error: SQLSTATE, or MySQL's number; None if there is none."""
    return next(filter(None, (one.failures.code_of(error) for one in dialects.known())), None)


def code_meant(kind: str) -> str | None:
    """Return the server's code for a driver's exception class, given its full name; None if it has none."""
    return next(filter(None, (one.failures.code_meant(kind) for one in dialects.known())), None)


def error_class(error: BaseException | None) -> type[RescueError] | None:
    """Return the error class for its code, if the code has one meaning."""
    code = error_code(error) or ""
    return next((one.failures.codes[code] for one in dialects.known() if code in one.failures.codes), None)


def vague_class(error: BaseException | None) -> type[RescueError] | None:
    """Return the error class for a code with several meanings, for an error whose message says no more."""
    code = error_code(error) or ""
    return next((one.failures.vague[code] for one in dialects.known() if code in one.failures.vague), None)


def words() -> Iterator[tuple[str, type[RescueError]]]:
    """Yield patterns and error classes for messages without a code."""
    for one in dialects.known():
        yield from one.failures.words


def error_text(error: BaseException) -> str:
    """Return the error's message, the same for every driver if it came from the server."""
    told = next(filter(None, (one.failures.text_of(error) for one in dialects.known())), None)
    if told:
        return told
    if isinstance(error, OSError) and error.filename is None and error.strerror:
        return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return said(error) or ("timeout expired" if type(error).__name__ == "TimeoutError" else "")


def ends_session(error: BaseException) -> bool:
    """Return whether the server closed the session with it, as far as the driver tells."""
    return any(one.failures.ends_session(error) for one in dialects.known())


def made(raw: Any, made_by: MadeBy | None, asked_for: URL | None) -> URL | None:
    """Register the driver's new connection `raw`; return where it leads to, if the driver says so."""
    for one in dialects.known():
        one.drivers.made(raw, made_by)
    return next(filter(None, (one.drivers.opened_at(raw, asked_for) for one in dialects.known())), None)


def server_process(raw: Any) -> int | None:
    """Return the process id that the server (or a pooler) named when the driver's connection `raw` was made."""
    return next((pid for one in dialects.known() if (pid := one.drivers.server_process(raw)) is not None), None)


def ask_to_cancel(raw: Any) -> None:
    """Ask the server to cancel what the driver's connection `raw` is running; from any thread; never raises."""
    with suppress(Exception):  # whatever the driver raises: it may be closed by now
        any(one.drivers.cancel(raw, _ASKING_SECONDS) for one in dialects.known())


def hang_up(raw: Any) -> bool:
    """Shut the driver's connection `raw` down, even while it is waited for; from any thread.  False: no known socket.

    Raises:
        Exception: whatever the driver raises for a connection that is closed by now.
    """
    descriptor = next((found for one in dialects.known() if (found := one.drivers.descriptor(raw)) is not None), None)
    if descriptor is None:
        return False
    with socket.socket(fileno=os.dup(descriptor)) as the_same:  # Python's own objects would not let go of TLS
        the_same.shutdown(socket.SHUT_RDWR)
    return True
