"""Show a deployment's progress on stderr: some lines of its log, and one line for the rest."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from alembic_rescue.cli.waiting import SAME_SECONDS

if TYPE_CHECKING:
    from rich.status import Status

    from alembic_rescue.deploying.following import Told


class Follow:
    """Shows what is new of a deployment until the context ends.

    Args:
        all_lines: show all log lines, not only migrations and errors.
        now: returns the time in seconds.
    """

    def __init__(
        self, tell: Callable[[str], None], *, color: bool, all_lines: bool, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell, self._color, self._all, self._now = tell, color, all_lines, now
        self._status: Status | None = None
        self._began = self._written = now()
        self._lines = 0
        self._shown: set[str] = set()
        self._state = ""

    def __enter__(self) -> Follow:  # noqa: PYI034 - Self is not in Python 3.10
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Free the terminal for what comes next."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def take(self, told: Told) -> None:
        """Show what is new."""
        self._lines += bool(told.line)
        self._state = told.status or self._state
        if told.note:
            self._write(f"{told.note}\n{told.command}" if told.command else told.note)
        elif told.line and (told.shown or self._all):
            self._shown.add(told.line)
            self._write(told.line)
        elif not told.line and told.shown:
            self._write(f"Deployment: {told.status}")
        elif self._now() - self._written >= SAME_SECONDS and not sys.stderr.isatty():
            self._write(self._rest())
        if sys.stderr.isatty() and self._state:
            self._show(self._rest())

    def has_shown(self, line: str) -> bool:
        """Whether this line of the log was shown."""
        return line in self._shown

    def _rest(self) -> str:
        lines = f", {self._lines} log lines" if self._lines else ""
        return f"Deployment: {self._state}{lines}, for {self._now() - self._began:.0f} s"

    def _write(self, line: str) -> None:
        self._written = self._now()
        self.stop()
        self._tell(f"{line}\n")

    def _show(self, line: str) -> None:
        from rich.console import Console  # noqa: PLC0415 - only at a terminal
        from rich.text import Text  # noqa: PLC0415

        if self._status is None:
            self._status = Console(file=sys.stderr, no_color=not self._color).status(Text(line))
            self._status.start()
        else:
            self._status.update(Text(line))
