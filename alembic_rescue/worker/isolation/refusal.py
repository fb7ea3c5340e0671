"""Record what was refused in a worker and which code asked, at that time, even if the exception is swallowed."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn
from weakref import WeakKeyDictionary

Stack = tuple[tuple[str, int, str], ...]
"""File, line and function of each frame, outermost first."""


@dataclass(frozen=True)
class Refusal:
    """One refused action."""

    what: str
    """``connect to db.example.com:5432``, ``start a program: pg_dump``.  Holds no password."""
    stack: Stack
    """The code that asked, outermost frame first, without the guard's own frames."""
    thread: int
    """Its ``threading.get_ident()``."""
    started: Stack = ()
    """The code that started that thread, preceded by what started the parent threads; empty in the main thread."""


class Refused(PermissionError):  # noqa: N818 - a fact, not a fault
    """A migration may not do this."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EACCES, f"a migration may not do this on the scratch database: {what}")
        self.what = what

    def __reduce__(self) -> tuple[type[Refused], tuple[str]]:
        return Refused, (self.what,)


refusals: list[Refusal] = []
"""Everything that was refused in this process, oldest first.  Append-only."""

_OWN = str(Path(__file__).parents[1])
_starts: MutableMapping[object, Stack] = WeakKeyDictionary()
"""The code that started a thread, by the thread, or by its function if it has no thread object."""
_HARMLESS = {
    ("platform.py", None),
    ("uuid.py", None),
    ("ctypes/util.py", None),
    ("socket.py", "getfqdn"),
    ("email/utils.py", "make_msgid"),
}
"""File and function in the standard library that query the machine by a child process or a look-up, and continue
without an answer.  They are refused too, but not recorded."""
_LIBRARY = str(Path(threading.__file__).parent)


def refuse(what: str) -> NoReturn:
    """Record what was asked for, and by which code.

    Raises:
        Refused: always.
    """
    stack = current_stack()
    if not _is_harmless(stack):
        refusals.append(Refusal(what, stack, threading.get_ident(), _started(stack)))
    raise Refused(what)


def note_start(target: object) -> None:
    """Record that the current thread is about to start another, which runs the function `target`."""
    key = getattr(target, "__self__", None) or target
    try:
        stack = current_stack()
        _starts[key] = (*_started(stack), *stack)
    except TypeError:  # a C function, which has no weak references
        pass


def current_stack() -> Stack:
    """Return the frames of the current thread, without those of the guard."""
    frames: list[tuple[str, int, str]] = []
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - documented, and an audit hook has no other way
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_OWN):
            frames.append((code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back
    return tuple(reversed(frames))


def _started(stack: Stack) -> Stack:
    del stack
    # Not `current_thread()`, which creates an object in a thread that is just ending or was started in C.
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # noqa: SLF001
    found = _starts.get(thread) if thread is not None else None
    return found or _started_by_function()


def _started_by_function() -> Stack:
    """Return what started a thread without an object: its outermost frame is the function that it was started with."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as above
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    if frame is None or not _starts:
        return ()
    return next((at for by, at in list(_starts.items()) if getattr(by, "__code__", None) is frame.f_code), ())


def _is_harmless(stack: Stack) -> bool:
    for file, _, function in reversed(stack):
        if not file.startswith(_LIBRARY) or "site-packages" in file:
            return False
        name = file[len(_LIBRARY) + 1 :].replace("\\", "/")
        if (name, None) in _HARMLESS or (name, function) in _HARMLESS:
            return True
    return False
