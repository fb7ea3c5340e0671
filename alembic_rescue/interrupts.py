"""Ctrl-C (and SIGTERM) while a driver waits inside its C library.

Python raises KeyboardInterrupt only between two of its own instructions, so a process that waits for a lock in
libpq would sit out the whole lock timeout.  A thread that is woken by the signal itself asks the server to cancel
what is running, until the wait has ended with an error, and Python gets to raise.  Where there is nothing to cancel
(a connection that is being made, a network that is gone) and Python does not come round, the process ends.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

GRACE_SECONDS = 1.5
"""How long the main thread has to come round before the process is ended."""
_ASK_AGAIN_SECONDS = 0.2
"""A request to cancel that comes between two statements is lost on the server."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def at_once(cancel: Callable[[], None], say: Callable[[], None], status: int) -> Iterator[None]:
    """While in the block, a signal calls `cancel` and raises KeyboardInterrupt as soon as Python comes round.

    If it does not come round within the grace, or on a second signal: `say`, and the process exits with `status`.
    Does nothing outside of the main thread, where Python handles no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    came_round = threading.Event()

    def handler(_number: int, _frame: FrameType | None) -> NoReturn:
        came_round.set()
        raise KeyboardInterrupt

    def watch() -> None:
        if not _next_signal(woken):
            return
        if _ask(cancel, came_round, woken) and not _next_signal(woken):
            return
        try:
            say()
        finally:
            os._exit(status)

    previous_handlers = [(number, signal.signal(number, handler)) for number in SIGNALS]
    previous_wakeup = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, daemon=True, name="ctrl-c")
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous_wakeup)
        for number, previous in previous_handlers:
            signal.signal(number, previous)
        wake.close()
        watcher.join()
        woken.close()


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """While in the block, SIGTERM is what Ctrl-C is: KeyboardInterrupt."""

    def handler(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _next_signal(woken: socket.socket) -> bool:
    """Wait for one; False where the block has ended first."""
    while received := woken.recv(1):
        if received[0] in SIGNALS:
            return True
    return False


def _ask(cancel: Callable[[], None], came_round: threading.Event, woken: socket.socket) -> bool:
    """Have `cancel` called until the main thread comes round; False where it does not, or on another signal.

    Asking is talking to the server, which may hang as well: each time in a thread of its own.
    """
    asking: threading.Thread | None = None
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and not select.select([woken], [], [], 0)[0]:
        if asking is None or not asking.is_alive():
            asking = threading.Thread(target=cancel, daemon=True, name="cancel")
            asking.start()
        if came_round.wait(_ASK_AGAIN_SECONDS):
            return True
    return came_round.is_set()
