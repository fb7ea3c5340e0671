"""A time limit for code of somebody else's, in the thread that runs it."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_GRACE = 0.5
"""Seconds for a cancelled query to end by an error of the driver's, from which the connection recovers."""


class TimeIsUp(BaseException):
    """Raised in the code that ran out of time; no ``except Exception`` of its own holds it."""


class Deadline:
    """Whether the time is up."""

    def __init__(self) -> None:
        self.passed = False


@contextmanager
def deadline(seconds: float, cancel: Callable[[], object]) -> Iterator[Deadline]:
    """End the body once `seconds` are over: by `cancel`, called from another thread, and by :class:`TimeIsUp`.

    `cancel` ends a query that the body waits for.  Python code is stopped at its next instruction; a call into C that
    returns late (``time.sleep``) is stopped when it returns.
    """
    runner = ctypes.c_ulong(threading.get_ident())
    limit = Deadline()
    done = threading.Event()
    lock = threading.Lock()
    raised = False

    def expire() -> None:
        nonlocal raised
        if done.wait(seconds):
            return
        limit.passed = True
        with suppress(Exception):  # any driver's error: it may be closed by now
            cancel()
        if done.wait(_GRACE):
            return
        with lock:  # the body may have ended meanwhile: then nothing may be raised any more
            if not done.is_set():
                raised = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(runner, ctypes.py_object(TimeIsUp))

    watch = threading.Thread(target=expire, name="alembic-rescue-deadline", daemon=True)
    watch.start()
    try:
        yield limit
    finally:
        with lock:
            done.set()
        if raised:  # set, but perhaps not delivered yet: it must not hit the caller
            ctypes.pythonapi.PyThreadState_SetAsyncExc(runner, None)
        watch.join()
