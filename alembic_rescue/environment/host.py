"""What env.py may not change of the process that it runs in: its output, and its logging."""

from __future__ import annotations

import contextvars
import io
import logging
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TypeVar

T = TypeVar("T")
Tell = Callable[[str], None]
"""Takes a line that env.py or Alembic printed, without secrets."""

_KEPT_LINES = 3


class Printed:
    """What env.py printed: handed on line by line without secrets, the last lines kept."""

    def __init__(self, hide: Callable[[str], str], tell: Tell) -> None:
        self._hide, self._tell = hide, tell
        self._streams = sys.stdout, sys.stderr
        self._partial = ""
        self._last: list[str] = []
        raw: Any = _Raw(self._take)
        self.stream = io.TextIOWrapper(raw, "utf-8", "replace", newline="\n", write_through=True)
        """To be stdout and stderr meanwhile."""

    def _take(self, text: str) -> None:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._line(line)

    def _line(self, line: str) -> None:
        hidden = self._hide(line)
        if hidden.strip():
            self._last = [*self._last, hidden.strip()][-_KEPT_LINES:]
        stdout, stderr = self._streams
        with redirect_stdout(stdout), redirect_stderr(stderr):  # whoever is told may print it
            self._tell(hidden)

    def end(self) -> None:
        """Hand on what was printed without a newline at its end."""
        if self._partial:
            self._line(self._partial)
            self._partial = ""

    def tail(self) -> str:
        """The last lines, Alembic's own notices left out; hidden anew, as a secret may have become known since."""
        self.end()
        return self._hide(" | ".join(line for line in self._last if "alembic.runtime" not in line))


class _Raw(io.RawIOBase):
    """The bytes below the text, because env.py may use all that a stream has: its buffer, its descriptor."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        taken = bytes(data)
        self._take(taken.decode("utf-8", "replace"))
        return len(taken)

    def fileno(self) -> int:
        """For a process that env.py starts with this stream as its own."""
        return (sys.__stderr__ or sys.stderr).fileno()


@contextmanager
def kept_as_it_was(printed: Printed) -> Iterator[None]:
    """While in the block, what is printed goes to `printed`; after it, streams and logging are as before."""
    with _logging_kept(), redirect_stdout(printed.stream), redirect_stderr(printed.stream):
        yield


@contextmanager
def _logging_kept() -> Iterator[None]:
    """Undo what env.py's ``fileConfig`` does: it disables all loggers, makes new ones, and closes all handlers."""
    before = {logger: _state(logger) for logger in _loggers()}
    disabled = logging.root.manager.disable
    known: list[Any] = getattr(logging, "_handlerList", [])  # the only way to have a handler not closed
    hidden = known[:]
    known.clear()
    try:
        yield
    finally:
        known[:0] = hidden
        logging.disable(disabled)
        for logger in _loggers():
            _set(logger, *before.get(logger, (logging.NOTSET, [], True, False)))


def _loggers() -> list[logging.Logger]:
    registered = logging.Logger.manager.loggerDict.values()
    return [logging.getLogger(), *(logger for logger in registered if isinstance(logger, logging.Logger))]


def _state(logger: logging.Logger) -> tuple[int, list[logging.Handler], bool, bool]:
    return logger.level, logger.handlers[:], logger.propagate, logger.disabled


def _set(logger: logging.Logger, level: int, handlers: list[logging.Handler], propagate: bool, disabled: bool) -> None:  # noqa: FBT001
    logger.setLevel(level)
    logger.handlers[:] = handlers
    logger.propagate, logger.disabled = propagate, disabled


def outside_of_event_loops(call: Callable[[], T]) -> T:
    """Call it; in a thread of its own if an event loop runs in this one, because env.py may start another."""
    if not _in_event_loop():
        return call()
    with ThreadPoolExecutor(1, "alembic-rescue") as thread:
        return thread.submit(contextvars.copy_context().run, call).result()


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # to import it takes long, and where nobody has, no loop runs
    try:
        return asyncio is not None and bool(asyncio.get_running_loop())
    except RuntimeError:
        return False
