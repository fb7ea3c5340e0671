"""From what a platform says of a deployment, look by look, to what is told of it.  Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from alembic_rescue.deploying.values import Deployment, LogLine, moment

_TOLD = re.compile(
    r"\bRunning (?:upgrade|downgrade|stamp_revision) |\balembic[.\w]*\b|\bTraceback \(most recent"
    r"|\b(?:\w+\.)*\w*(?:Error|Exception|Violation|FailedSqlTransaction)\b"
    r"|\b(?:ERROR|FATAL|CRITICAL)\b|\[SQL: |^DETAIL: "
)
"""What of a log is told as it comes: Alembic's own lines, and errors."""
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
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


class Following:
    """What was heard of one deployment so far.

    Args:
        since: the moment from which on its log is read, as RFC 3339.
        hide: takes secrets out of what others wrote.
    """

    def __init__(self, since: str, hide: Callable[[str], str]) -> None:
        self._hide = hide
        self._status = ""
        self._known: set[str] = set()
        self._unread: set[str] = set()
        self._newest = self._since = since
        self._lines: deque[tuple[str, str]] = deque(maxlen=_KEPT)

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
            if entry.id in self._known:
                continue
            self._known.add(entry.id)
            if (at := moment(entry.timestamp)) and (newest := moment(self._newest)) and at > newest:
                self._newest = entry.timestamp
            for text in entry.message.splitlines():
                line = _ANSI.sub("", text).rstrip()
                self._lines.append((entry.instance, line))
                if line.strip():
                    told.append(Told(self._status, self._hide(line), shown=bool(_TOLD.search(line))))
        return told

    def unread(self, why: str) -> list[Told]:
        """That its log cannot be read; once."""
        if self._unread:
            return []
        self._unread.add(why)
        return [Told(self._status, why)]

    @property
    def log(self) -> list[str]:
        """What was read of it, each machine's lines marked, as they are read by ``diagnose --log``."""
        return [f"render[{instance}]: {line}" if instance else line for instance, line in self._lines]

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last of it, without secrets."""
        lines = [line for _, line in self._lines if line.strip()]
        return tuple(self._hide(line) for line in lines[-_LAST:])
