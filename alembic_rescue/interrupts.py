"""Ctrl-C while a driver waits inside its C library.

Python raises KeyboardInterrupt only between two of its own instructions, so a process that waits for a lock in
libpq would sit out the whole lock timeout.  A thread that is woken by the signal itself asks the server to cancel
what is running; the wait then ends with an error, and Python gets to raise.  Where there is nothing to cancel (a
connection that is being made) and Python still has not come round, the process ends: nothing can have been written.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = 1.5
"""How long the main thread has to come round before the process is ended."""


@contextmanager
def at_once(cancel: Callable[[], None], say: Callable[[], None], status: int) -> Iterator[None]:
    """While in the block, a Ctrl-C calls `cancel` and raises KeyboardInterrupt as soon as Python comes round.

    If it does not come round within the grace, or on a second Ctrl-C: `say`, and the process exits with `status`.
    Does nothing outside of the main thread, where Python handles no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    came_round = threading.Event()

    def handler(signal_number: int, frame: FrameType | None) -> None:
        came_round.set()
        signal.default_int_handler(signal_number, frame)

    def watch() -> None:
        interrupted = False
        while received := woken.recv(1):
            if received[0] != signal.SIGINT:
                continue
            if not interrupted:
                cancel()
            if interrupted or not came_round.wait(GRACE_SECONDS):
                say()
                os._exit(status)
            interrupted = True

    previous_handler = signal.signal(signal.SIGINT, handler)
    previous_wakeup = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, daemon=True, name="ctrl-c")
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous_wakeup)
        signal.signal(signal.SIGINT, previous_handler)
        wake.close()
        watcher.join()
        woken.close()
