"""Show on stderr that long work goes on, and how far it is, after two seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.status import Status

    from alembic_rescue.worker.requests import Progress

FIRST_SECONDS = 2.0
"""Shorter work needs no progress line."""
_NEXT_SECONDS = 10.0
"""Between two lines if stderr is not a terminal, as in a deployment's log."""


class Shown:
    """Shows progress until the context ends: one changing line on a terminal, elsewhere a new line now and then.

    Args:
        doing: the work, to show until more is known.
        tell: writes to stderr.
        color: whether a terminal may use colours.
        quiet: everything that the project prints is shown anyway.
    """

    def __init__(self, doing: str, tell: Callable[[str], None], *, color: bool, quiet: bool) -> None:
        self._doing, self._tell, self._color, self._quiet = doing, tell, color, quiet
        self._status: Status | None = None
        self._began = time.monotonic()
        self._next = self._began + FIRST_SECONDS
        self._last = ""
        self._over = threading.Event()

    def __enter__(self) -> Shown:  # noqa: PYI034 - Self is not in Python 3.10
        if sys.stderr.isatty() and not self._quiet:
            from rich.console import Console  # noqa: PLC0415 - most calls are over before

            self._status = Console(file=sys.stderr, no_color=not self._color).status(f"{self._doing} ...")
            self._status.start()
        elif not self._quiet:
            threading.Thread(target=self._go_on, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Free the terminal for a question or the answer."""
        self._over.set()
        if self._status is not None:
            self._status.stop()

    def hear(self, said: Any) -> None:
        """Take a worker's progress."""
        progress: Progress = said
        now = time.monotonic()
        if not getattr(progress, "of", 0):
            return
        self._last = told = f"{progress.doing}: {progress.revision} ({progress.number} of {progress.of})"
        if now < self._next:
            return
        if self._status is not None:
            self._status.update(f"{told} ...")
        elif not self._quiet:
            self._next = now + _NEXT_SECONDS
            self._tell(f"{told}\n")

    def _go_on(self) -> None:
        """Repeat the last line if nothing new arrives, as a revision may take minutes."""
        while not self._over.wait(1.0):
            now = time.monotonic()
            if self._last and now >= self._next + 1.0:
                self._next = now + _NEXT_SECONDS
                self._tell(f"{self._last}, for {now - self._began:.0f} s in all\n")
