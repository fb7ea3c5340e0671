"""Show on stderr how the wait for databases goes: one changing line on a terminal, elsewhere a few lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status

    from alembic_rescue.waiting import Seen

SAME_SECONDS = 30.0
"""Between two identical lines, if stderr is not a terminal."""


class Lines:
    """Decides which lines to write: each new one, and all of them again after a while."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last: frozenset[str] = frozenset()
        self._written = 0.0

    @property
    def begun(self) -> bool:
        """Whether any line was written."""
        return bool(self._last)

    def of(self, told: list[tuple[str, str]]) -> list[str]:
        """The lines to write now, from pairs of a fixed part and a part that changes with time."""
        again = self._now() - self._written >= SAME_SECONDS
        lines = [f"{what}{since}" for what, since in told if again or what not in self._last]
        self._last = frozenset(what for what, _ in told)
        if lines:
            self._written = self._now()
        return lines


class Watch:
    """Shows what each look saw until the context ends."""

    def __init__(self, tell: Callable[[str], None], *, color: bool) -> None:
        self._tell, self._color = tell, color
        self._lines = Lines()
        self._status: Status | None = None

    def __enter__(self) -> Watch:  # noqa: PYI034 - Self is not in Python 3.10
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def take(self, seen: Seen) -> None:
        """Show what a look saw."""
        from alembic_rescue.report import waiting  # noqa: PLC0415 - as the commands do

        told = waiting.progress(seen)
        if seen.there and not self._lines.begun:
            return  # the answer says it
        if sys.stderr.isatty():
            self._show("\n".join(f"{what}{since}" for what, since in told))
            return
        for line in self._lines.of(told):
            self._tell(f"{line}\n")

    def after(self, stop: Callable[[], None]) -> Callable[[Seen], None]:
        """The same, after something else was shown on the terminal; `stop` ends that."""

        def take(seen: Seen) -> None:
            stop()
            self.take(seen)

        return take

    def _show(self, text: str) -> None:
        from rich.console import Console  # noqa: PLC0415 - only at a terminal
        from rich.text import Text  # noqa: PLC0415

        if self._status is None:
            self._status = Console(file=sys.stderr, no_color=not self._color).status(Text(text))
            self._status.start()
        else:
            self._status.update(Text(text))
