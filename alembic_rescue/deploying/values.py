"""What platforms tell, as frozen values.  No I/O."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from alembic_rescue.evidence.deployed import Mode
from alembic_rescue.model import DatabaseReport

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:\d\d)")
_SHORT = 9


class State(Enum):
    """How far a deployment is."""

    CREATED = "created"
    RUNNING = "running"
    """Also what has a word that is not known here."""
    LIVE = "live"
    REPLACED = "replaced"
    """It was live, and a newer one took over."""
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True)
class Service:
    """What is deployed."""

    id: str
    name: str
    owner: str
    kind: str
    """In the platform's word."""
    suspended: bool
    branch: str | None


@dataclass(frozen=True)
class Deployment:
    """One deployment of a service, as it was when it was asked for."""

    id: str
    status: str
    """In the platform's word."""
    state: State
    built: bool
    """Its build has come to an end, and well."""
    trigger: str = ""
    """In the platform's word: ``api``, ``new_commit``."""
    commit: str | None = None
    message: str = ""
    """Of the commit; its first line."""
    created: str = ""
    """RFC 3339."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in {State.CREATED, State.RUNNING}

    @property
    def committed(self) -> str:
        """The commit, for a sentence."""
        return " ".join(filter(None, [short(self.commit or ""), f"({self.message})" if self.message else ""]))


@dataclass(frozen=True)
class LogLine:
    """One entry of a log; it may hold several lines of text."""

    id: str
    timestamp: str
    message: str
    instance: str = ""
    """What wrote it: a pre-deploy command and the old version's servers write into the same log."""


@dataclass(frozen=True)
class Page:
    """Some of a log."""

    lines: tuple[LogLine, ...]
    next: tuple[str, str] | None
    """From when to when the next page is; None where there is none."""


@dataclass(frozen=True)
class Choice:
    """What to ask the platform for."""

    mode: Mode
    why: str
    commit: str = ""
    """What will be deployed, for a sentence, as far as that is known."""


@dataclass(frozen=True)
class Planned:
    """A deployment before it is triggered, to be confirmed."""

    platform: str
    service: str
    """For a sentence: its name and id; of a hook what of its URL is no secret."""
    branch: str | None = None
    choice: Choice | None = None
    """None for a hook: it does what it was made for."""
    databases: tuple[DatabaseReport, ...] = ()
    """As ``diagnose`` finds them before."""


@dataclass(frozen=True)
class Pace:
    """How often is looked, and for how long; all in seconds."""

    created: float = 10.0
    """While nothing has begun."""
    running: float = 5.0
    longest: float = 3600.0
    """Until it is followed no longer."""
    queue: float = 1.0
    """While it does not stand in the platform's list."""
    queue_longest: float = 60.0
    last_lines: float = 3.0
    """For the last lines of a log to arrive."""
    away: float = 600.0
    """So long the platform may give no answer that can be used, while a deployment is followed."""

    def of(self, deployment: Deployment) -> float:
        """Until it is looked at again."""
        return self.created if deployment.state is State.CREATED else self.running


PACE = Pace()


def short(commit: str) -> str:
    """A commit's id, as git shortens it."""
    return commit[:_SHORT]


def moment(text: str) -> datetime | None:
    """The moment that RFC 3339 names; None where it names none."""
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        return None
    offset = "+00:00" if found[3] == "Z" else found[3]
    with suppress(ValueError):  # such as a 13th month
        return datetime.fromisoformat(f"{found[1]}.{(found[2] or '').ljust(6, '0')}{offset}")
    return None
