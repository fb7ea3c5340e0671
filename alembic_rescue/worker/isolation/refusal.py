"""What was refused in a worker, and who asked: recorded when it happens, whatever becomes of the exception."""

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
"""File, line and function of each frame, the outermost first."""


@dataclass(frozen=True)
class Refusal:
    """One thing that was refused."""

    what: str
    """``connect to db.example.com:5432``, ``start a program: pg_dump``.  Holds no password."""
    stack: Stack
    """Who asked, the outermost frame first; the guard's own frames are not in it."""
    thread: int
    """Its ``threading.get_ident()``."""
    started: Stack = ()
    """Who started that thread, and who started theirs before; empty in the main thread."""


class Refused(PermissionError):  # noqa: N818 - a fact, not a fault
    """It is out of a migration's reach."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EACCES, f"a migration may not do this on the scratch database: {what}")
        self.what = what

    def __reduce__(self) -> tuple[type[Refused], tuple[str]]:
        return Refused, (self.what,)


refusals: list[Refusal] = []
"""Everything that was refused in this process, the oldest first.  Only added to."""

_OWN = str(Path(__file__).parents[1])
_starts: MutableMapping[object, Stack] = WeakKeyDictionary()
"""By the thread, or by the function of one that has no object: who started it."""
_HARMLESS = {
    ("platform.py", None),
    ("uuid.py", None),
    ("ctypes/util.py", None),
    ("socket.py", "getfqdn"),
    ("email/utils.py", "make_msgid"),
}
"""Of the standard library, file and function: asks the machine about itself by a child process or a look-up, and goes
on without.  Refused as well, but nobody's fault."""
_LIBRARY = str(Path(threading.__file__).parent)


def refuse(what: str) -> NoReturn:
    """Record that it was asked for, and by whom.

    Raises:
        Refused: always.
    """
    stack = current_stack()
    if not _is_harmless(stack):
        refusals.append(Refusal(what, stack, threading.get_ident(), _started(stack)))
    raise Refused(what)


def note_start(target: object) -> None:
    """A thread is about to be started by the current one: `target` is the function that it runs."""
    key = getattr(target, "__self__", None) or target
    try:
        stack = current_stack()
        _starts[key] = (*_started(stack), *stack)
    except TypeError:  # no weak references to it: a function of C
        pass


def current_stack() -> Stack:
    """The frames of the current thread, without those of the guard."""
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
    # Not `current_thread()`: in a thread that is only just ending, or was started in C, it makes a new object.
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # noqa: SLF001
    found = _starts.get(thread) if thread is not None else None
    return found or _started_by_function()


def _started_by_function() -> Stack:
    """Of a thread without an object: its outermost frame is the function that it was started with."""
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
