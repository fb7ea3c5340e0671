"""A time limit for code of somebody else's, in the thread that runs it."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class TimeIsUp(BaseException):  # noqa: N818 - not an error of the code that it ends
    """Raised in the code that ran out of time; no ``except Exception`` of its own holds it."""


@contextmanager
def deadline(seconds: float, cancel: Callable[[], object]) -> Iterator[None]:
    """Raise :class:`TimeIsUp` in the body once `seconds` are over.

    `cancel` is called first, from another thread, to end a query that the body waits for.  Python code is stopped at
    its next instruction; a call into C that returns late (``time.sleep``) is stopped when it returns.
    """
    runner = ctypes.c_ulong(threading.get_ident())
    done = threading.Event()
    lock = threading.Lock()

    def expire() -> None:
        if done.wait(seconds):
            return
        with lock:  # the body may have ended meanwhile: then nothing may be raised any more
            if done.is_set():
                return
            ctypes.pythonapi.PyThreadState_SetAsyncExc(runner, ctypes.py_object(TimeIsUp))
        with suppress(Exception):  # any driver's error: it may be closed by now
            cancel()

    watch = threading.Thread(target=expire, name="alembic-rescue-deadline", daemon=True)
    started = time.monotonic()
    watch.start()
    try:
        yield
    finally:
        with lock:
            done.set()
        watch.join()
        if time.monotonic() - started >= seconds:  # set, but not delivered yet: it must not hit the caller
            ctypes.pythonapi.PyThreadState_SetAsyncExc(runner, None)
