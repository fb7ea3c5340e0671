"""Turn what a platform reports of a deployment, look by look, into what is printed about it.  Pure."""

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
"""Lines of several machines arrive out of order, so this much is read again."""


@dataclass(frozen=True)
class Told:
    """A piece of news about a deployment."""

    status: str
    """The state of the deployment, in the platform's term."""
    line: str = ""
    """A line of its log; empty if only the status is reported."""
    shown: bool = True
    """Whether it is about the migrations, an error, or a new status.  The rest is only for verbose output."""
    note: str = ""
    """A remark."""
    command: str = ""
    """The command for the note, to copy."""


class Following:
    """What is known of one deployment so far.

    Args:
        since: the time from which its log is read, as RFC 3339.
        hide: removes secrets from the text of other programs.
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
        """Where the last look at the log stopped before the log's end."""

    @property
    def since(self) -> str:
        """From when on to read the next page of the log, as RFC 3339.  Lines read twice are recognized by their ids."""
        newest, first = moment(self._newest), moment(self._since)
        if newest is None or first is None:
            return self._since
        return max(first, newest - _OVERLAP).isoformat().replace("+00:00", "Z")

    def now(self, deployment: Deployment) -> Told:
        """Its state; shown if it is new."""
        is_new = deployment.status != self._status
        self._status = deployment.status
        return Told(deployment.status, shown=is_new)

    def heard(self, entries: Iterable[LogLine]) -> list[Told]:
        """The new lines in its log."""
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
        """A remark; each kind only once."""
        if kind in self._noted:
            return []
        self._noted.add(kind)
        return [Told(self._status, note=sentence)]

    @property
    def log(self) -> list[str]:
        """The lines read, marked with their machine, in the form that ``diagnose --log`` reads."""
        return [f"render[{instance}]: {line}" if instance else line for instance, line in self._lines]

    @property
    def last_lines(self) -> tuple[str, ...]:
        """Its last lines, without secrets, and without frames of installed packages."""
        return tuple(map(self._hide, self._last))
