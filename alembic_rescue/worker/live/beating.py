"""Signs of life while migrations run: progress for the reader, and pings of the server; a statement may take hours."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from alembic_rescue.connection.guard import Guard
from alembic_rescue.connection.waits import Silence, Waits

_BEAT_SECONDS = 1.0
_PING_SECONDS = 5.0
"""Time between two pings of the server."""
_SILENT_SECONDS = 30.0
"""A server that does not answer a ping for this long counts as gone."""


class Run(Protocol):
    """A run of migrations."""

    unguarded: bool
    """Set if the connection of a lock is lost."""

    @property
    def statement(self) -> str:
        """The running statement; empty if none is."""

    def tell_progress(self) -> None:
        """Report how far it is."""


@contextmanager
def beating(guards: Sequence[Guard], waits: Waits, run: Run) -> Iterator[None]:
    """In the block, report progress, and hang up on a server that has not answered a ping for 30 seconds.

    Args:
        guards: the locks, on whose connections to ping.
        waits: those of env.py's connections.
    """
    over = threading.Event()
    asked: dict[int, float] = {}

    def ping() -> None:
        while not over.wait(_PING_SECONDS):
            for number, guard in enumerate(guards):
                asked[number] = time.monotonic()
                try:
                    guard.ping()
                except Exception:  # noqa: BLE001 - any driver's error for a lost connection
                    run.unguarded = not over.is_set()
                    return
                finally:
                    asked.pop(number, None)

    def beat() -> None:
        while not over.wait(_BEAT_SECONDS):
            run.tell_progress()
            began = min(list(asked.values()), default=None)
            if began is not None and (waited := time.monotonic() - began) > _SILENT_SECONDS:
                waits.hang_up(Silence(waited, run.statement or "a ping"))
                for guard in guards:
                    guard.hang_up()
                return

    with suppress(RuntimeError):  # env.py may have left Python unable to start threads
        for work in (ping, beat):
            threading.Thread(target=work, daemon=True, name=f"alembic-rescue-{work.__name__}").start()
    try:
        yield
    finally:
        over.set()
