"""From what a platform says of a deployment, look by look, to what is told of it.  Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from alembic_rescue.deploying import lines
from alembic_rescue.deploying.values import Deployment, LogLine, moment

_KEPT = 20_000
_LAST = 20
_OVERLAP = timedelta(seconds=30)
"""Lines of several machines do not come in order: so much is read again."""


@dataclass(frozen=True)
class Told:
    """Something new of a deployment."""

    status: str
    """Where the deployment is, in the platform's word."""
    line: str = ""
    """Of its log; empty where only the status is told."""
    shown: bool = True
    """It is of the migrations, or an error, or a new status; the rest is for those who want all of it."""
    note: str = ""
    """What is to be known besides."""
    command: str = ""
    """The one that the note speaks of, to be copied."""


class Following:
    """What was heard of one deployment so far.

    Args:
        since: the moment from which on its log is read, as RFC 3339.
        hide: takes secrets out of what others wrote.
        own: see :class:`alembic_rescue.deploying.lines.Chooser`.
    """

    def __init__(self, since: str, hide: Callable[[str], str], own: Collection[Path] = ()) -> None:
        self._hide = hide
        self._chooser = lines.Chooser(own)
        self._status = ""
        self._known: set[object] = set()
        self._noted: set[str] = set()
        self._newest = self._since = since
        self._lines: deque[tuple[str, str]] = deque(maxlen=_KEPT)
        self._last: deque[str] = deque(maxlen=_LAST)
        self.next: tuple[str, str | None] | None = None
        """Where a look at the log ended before the log did."""

    @property
    def since(self) -> str:
        """From when on the next page of the log is to be read, as RFC 3339: lines are known again by their ids."""
        newest, first = moment(self._newest), moment(self._since)
        if newest is None or first is None:
            return self._since
        return max(first, newest - _OVERLAP).isoformat().replace("+00:00", "Z")

    def now(self, deployment: Deployment) -> Told:
        """Its state; shown where that is new."""
        is_new = deployment.status != self._status
        self._status = deployment.status
        return Told(deployment.status, shown=is_new)

    def heard(self, entries: Iterable[LogLine]) -> list[Told]:
        """What is new in its log."""
        told = []
        for entry in entries:
            names = {entry.id, (entry.timestamp, entry.instance, entry.message)}
            if (entry.timestamp and names & self._known) or entry.id in self._known:
                continue
            self._known |= names
            if (at := moment(entry.timestamp)) and (newest := moment(self._newest)) and at > newest:
                self._newest = entry.timestamp
            for line in lines.of_message(entry.message):
                self._lines.append((entry.instance, line))
                if not line.strip():
                    continue
                shown = self._chooser.is_told(line, entry.instance)
                told.append(Told(self._status, self._hide(line), shown=shown))
                if not self._chooser.is_of_packages(entry.instance):
                    self._last.append(line)
        return told

    def note(self, kind: str, sentence: str) -> list[Told]:
        """Something to be known; of each kind once."""
        if kind in self._noted:
            return []
        self._noted.add(kind)
        return [Told(self._status, note=sentence)]

    @property
    def log(self) -> list[str]:
        """What was read of it, each machine's lines marked, as they are read by ``diagnose --log``."""
        return [f"render[{instance}]: {line}" if instance else line for instance, line in self._lines]

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last of it, without secrets, and without the frames of what is installed."""
        return tuple(map(self._hide, self._last))
