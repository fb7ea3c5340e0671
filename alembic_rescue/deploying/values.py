"""What platforms report, as frozen values.  No I/O."""

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
    """The state of a deployment."""

    CREATED = "created"
    RUNNING = "running"
    """Also for a state that is unknown here."""
    LIVE = "live"
    REPLACED = "replaced"
    """It was live until a newer one replaced it."""
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True)
class Service:
    """A service that can be deployed."""

    id: str
    name: str
    owner: str
    kind: str
    """The platform's term."""
    suspended: bool
    branch: str | None


@dataclass(frozen=True)
class Deployment:
    """One deployment of a service, as of the request."""

    id: str
    status: str
    """The platform's term."""
    state: State
    built: bool
    """Whether its build has succeeded."""
    trigger: str = ""
    """The platform's term: ``api``, ``new_commit``."""
    commit: str | None = None
    message: str = ""
    """The first line of the commit's message."""
    created: str = ""
    """RFC 3339."""

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        return self.state not in {State.CREATED, State.RUNNING}

    @property
    def committed(self) -> str:
        """The commit, for use in a sentence."""
        return " ".join(filter(None, [short(self.commit or ""), f"({self.message})" if self.message else ""]))


@dataclass(frozen=True)
class LogLine:
    """One entry of a log, which may have several lines of text."""

    id: str
    timestamp: str
    message: str
    instance: str = ""
    """The instance that wrote it: a pre-deploy command and the old version's servers write to the same log."""


@dataclass(frozen=True)
class Page:
    """A part of a log."""

    lines: tuple[LogLine, ...]
    next: tuple[str, str] | None
    """The time range of the next page; None if there is none."""


@dataclass(frozen=True)
class Choice:
    """What to request from the platform."""

    mode: Mode
    why: str
    commit: str = ""
    """What will be deployed, for use in a sentence, as far as known."""


@dataclass(frozen=True)
class Planned:
    """A deployment to confirm before it is triggered."""

    platform: str
    service: str
    """For use in a sentence: its name and id; for a hook, the public part of its URL."""
    branch: str | None = None
    choice: Choice | None = None
    """None for a hook: it does what it was created for."""
    databases: tuple[DatabaseReport, ...] = ()
    """As ``diagnose`` found them before."""


@dataclass(frozen=True)
class Pace:
    """How often to look, and for how long, all in seconds."""

    created: float = 10.0
    """Between looks while nothing has begun."""
    running: float = 5.0
    longest: float = 3600.0
    """The limit for following one."""
    queue: float = 1.0
    """Between looks while it is missing from the platform's list."""
    queue_longest: float = 60.0
    last_lines: float = 3.0
    """The wait for the last log lines to arrive."""
    away: float = 600.0
    """How long the platform may fail to answer while a deployment is followed."""

    def of(self, deployment: Deployment) -> float:
        """The time until the next look."""
        return self.created if deployment.state is State.CREATED else self.running


PACE = Pace()


def short(commit: str) -> str:
    """A commit's id, abbreviated as git does."""
    return commit[:_SHORT]


def moment(text: str) -> datetime | None:
    """Parse an RFC 3339 time; None if it is invalid."""
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        return None
    offset = "+00:00" if found[3] == "Z" else found[3]
    with suppress(ValueError):  # such as a 13th month
        return datetime.fromisoformat(f"{found[1]}.{(found[2] or '').ljust(6, '0')}{offset}")
    return None
