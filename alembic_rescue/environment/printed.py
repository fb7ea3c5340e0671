"""Forward the output of env.py and its imports line by line, without secrets."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

Tell = Callable[[str], None]
"""Takes a line that env.py or Alembic printed, without secrets."""

_KEPT_LINES = 3


class Printed:
    """The output of env.py: forwarded line by line without secrets.  The last lines are kept."""

    def __init__(self, hide: Callable[[str], str], tell: Tell) -> None:
        self._hide, self._tell = hide, tell
        self._streams = sys.stdout, sys.stderr
        self._partial = ""
        self._last: list[str] = []
        raw: Any = _Raw(self._take)
        self.stream = io.TextIOWrapper(raw, "utf-8", "replace", newline="\n", write_through=True)
        """Replaces stdout and stderr while :meth:`taking`."""

    def _take(self, text: str) -> None:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._line(line)

    def _line(self, line: str) -> None:
        hidden = self._hide(line)
        if hidden.strip():
            self._last = [*self._last, hidden.strip()][-_KEPT_LINES:]
        stdout, stderr = self._streams
        with redirect_stdout(stdout), redirect_stderr(stderr):  # the callback may print it
            self._tell(hidden)

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Capture what is printed in the block."""
        with redirect_stdout(self.stream), redirect_stderr(self.stream):
            yield

    def end(self) -> None:
        """Forward a last line that has no newline."""
        if self._partial:
            self._line(self._partial)
            self._partial = ""

    def tail(self) -> str:
        """Return the last lines without Alembic's own notices.

        Secrets are hidden again, because one may have become known since.
        """
        self.end()
        return self._hide(" | ".join(line for line in self._last if "alembic.runtime" not in line))


class _Raw(io.RawIOBase):
    """The byte stream under the text stream: env.py may use a stream's ``buffer`` or ``fileno()``."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        taken = bytes(data)
        self._take(taken.decode("utf-8", "replace"))
        return len(taken)

    def fileno(self) -> int:
        """Return a descriptor for subprocesses that env.py starts with this stream as theirs."""
        return (sys.__stderr__ or sys.stderr).fileno()
