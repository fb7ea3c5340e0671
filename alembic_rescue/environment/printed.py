"""What env.py, and what it imports, prints: told line by line, without secrets."""

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
    """What env.py printed: handed on line by line without secrets, the last lines kept."""

    def __init__(self, hide: Callable[[str], str], tell: Tell) -> None:
        self._hide, self._tell = hide, tell
        self._streams = sys.stdout, sys.stderr
        self._partial = ""
        self._last: list[str] = []
        raw: Any = _Raw(self._take)
        self.stream = io.TextIOWrapper(raw, "utf-8", "replace", newline="\n", write_through=True)
        """To be stdout and stderr meanwhile."""

    def _take(self, text: str) -> None:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._line(line)

    def _line(self, line: str) -> None:
        hidden = self._hide(line)
        if hidden.strip():
            self._last = [*self._last, hidden.strip()][-_KEPT_LINES:]
        stdout, stderr = self._streams
        with redirect_stdout(stdout), redirect_stderr(stderr):  # whoever is told may print it
            self._tell(hidden)

    @contextmanager
    def taking(self) -> Iterator[None]:
        """While in the block, what is printed comes here."""
        with redirect_stdout(self.stream), redirect_stderr(self.stream):
            yield

    def end(self) -> None:
        """Hand on what was printed without a newline at its end."""
        if self._partial:
            self._line(self._partial)
            self._partial = ""

    def tail(self) -> str:
        """The last lines, Alembic's own notices left out; hidden anew, as a secret may have become known since."""
        self.end()
        return self._hide(" | ".join(line for line in self._last if "alembic.runtime" not in line))


class _Raw(io.RawIOBase):
    """The bytes below the text, because env.py may use all that a stream has: its buffer, its descriptor."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        taken = bytes(data)
        self._take(taken.decode("utf-8", "replace"))
        return len(taken)

    def fileno(self) -> int:
        """For a process that env.py starts with this stream as its own."""
        return (sys.__stderr__ or sys.stderr).fileno()
