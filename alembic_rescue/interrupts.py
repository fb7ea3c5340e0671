"""Ctrl-C (and SIGTERM) while a driver waits inside its C library.

Python raises KeyboardInterrupt only between two of its own instructions, so a process that waits for a lock in
libpq would sit out the whole lock timeout.  A thread, woken by the signal, asks the server to cancel the running
statement until the wait ends with an error and Python can raise.  Where there is nothing to cancel (a connection being
opened, a broken network) and Python does not regain control, the process exits.
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
"""How long the main thread has to regain control before the process exits."""
_ASK_AGAIN_SECONDS = 0.2
"""A cancel request between two statements has no effect on the server, so it is repeated."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def at_once(cancel: Callable[[], None], say: Callable[[], None], status: int) -> Iterator[None]:
    """In this block, make a signal call `cancel` and raise KeyboardInterrupt once Python regains control.

    If it does not within the grace period, or on a second signal: call `say`, and exit with `status`.  Does nothing
    outside the main thread, where Python handles no signals.
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
    """In this block, treat SIGTERM like Ctrl-C: raise KeyboardInterrupt."""

    def handler(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _next_signal(woken: socket.socket) -> bool:
    """Wait for a signal; return False if the block ends first."""
    while received := woken.recv(1):
        if received[0] in SIGNALS:
            return True
    return False


def _ask(cancel: Callable[[], None], came_round: threading.Event, woken: socket.socket) -> bool:
    """Call `cancel` until the main thread regains control; return False if it does not, or on another signal.

    Each call talks to the server and may hang, so it has its own thread.
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
