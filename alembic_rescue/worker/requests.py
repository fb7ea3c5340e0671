"""The values that the caller and its workers exchange.  Frozen, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic_rescue.dialects.scratch import Surroundings
from alembic_rescue.errors import RescueError
from alembic_rescue.evidence.rehearsal import Answer, TableSize
from alembic_rescue.model import Database, Identity, Note, Stamp


@dataclass(frozen=True)
class Loading:
    """What names a project: see :func:`alembic_rescue.load`."""

    config: tuple[str, ...] = ()
    section: str | None = None
    x: tuple[str, ...] = ()
    url: str | None = None
    lock_timeout: float | None = None
    config_from: str | None = None
    app: str | None = None
    made: dict[str, Any] | None = None
    """The parts of a Config object that can be sent to a worker: see :mod:`alembic_rescue.project.travelling`."""
    folder: str = "."
    """The working directory at that time, so that relative paths keep their meaning if the caller changes it."""
    recovered: tuple[str, ...] = ()
    """Folders with revisions missing from the scripts, treated as part of them: see :mod:`alembic_rescue.lost`."""


@dataclass(frozen=True)
class Loaded:
    """What is known about a project once it is loaded."""

    source: str
    """Where the configuration comes from, for messages."""
    settings: dict[str, str]
    """The section ``[alembic_rescue]``."""
    env: Path
    """The project's env.py."""
    files: tuple[str, ...]
    """The configuration's own files."""
    options: str
    """A digest of the configuration without database URLs."""
    has_url: bool
    """A database was named with ``--url``."""
    lock_seconds: float
    statement_seconds: float
    connect_seconds: float
    locations: tuple[str, ...] = ()
    """The folders in which revisions may be."""
    versions: dict[str, str] = field(default_factory=dict)
    """The project's versions of ``alembic`` and ``sqlalchemy``."""
    installed: str = ""
    """A digest of all packages that the project has installed."""
    drivers: tuple[str, ...] = ()
    """Import names of the synchronous drivers."""


@dataclass(frozen=True)
class ScriptFile:
    """One revision, read from its file without running it."""

    revision: str
    down_revision: tuple[str, ...] | str | None
    depends_on: tuple[str, ...] | str | None
    branch_labels: tuple[str, ...] | str | None
    doc: str
    path: Path
    content: str
    """``sha256:...`` of the file."""
    asks_for_the_database: bool = False
    """The file refers to the database's name, so what it does may depend on that."""


@dataclass(frozen=True)
class Visited:
    """One visit of env.py, as seen by the live look."""

    database: Database
    asked: dict[str, str]
    """The arguments that the driver connected with: ``host``, ``port``, ``database``, ``user``; no password."""
    driver: str
    """Dialect and driver in SQLAlchemy's notation: ``postgresql+psycopg2``."""
    transactional: bool
    """A failed run is rolled back as a whole; otherwise the statements before the failure persist."""
    surroundings: Surroundings | None = None
    remarks: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Look:
    """What a run of env.py saw."""

    visited: tuple[Visited, ...]
    scripts: tuple[ScriptFile, ...]
    unreadable: tuple[Path, ...] = ()
    """Script files whose revision is only known by running them."""


@dataclass(frozen=True)
class ToWrite:
    """One database of a write, as planned."""

    identity: Identity
    rows_before: tuple[str, ...]
    stamps: tuple[Stamp, ...]


@dataclass(frozen=True)
class Backend:
    """The server process that is about to write."""

    pid: int
    started: str
    """Its start time as given by the server, because a pid may be reused."""
    key: tuple[str, str]
    """The :attr:`Identity.rows_key` of what it writes."""


@dataclass(frozen=True)
class Tally:
    """The outcome of the statements that were sent to one database."""

    checked: bool = False
    """The visit got as far as writing."""
    sent: int = 0
    answered: int = 0
    rows: int = 0

    @property
    def nothing_written(self) -> bool:
        """Whether it is certain that each statement was refused or changed no row."""
        return self.rows == 0 and self.answered == self.sent


@dataclass(frozen=True)
class Written:
    """The outcome of a write, and what new connections see."""

    tallies: dict[tuple[str, str], Tally]
    """By :attr:`Identity.rows_key`."""
    failure: RescueError | None = None
    interrupted: bool = False
    found: tuple[Database, ...] = ()
    unread: RescueError | None = None


MAY_BE_KEPT = "may_be_kept"
"""The fact of a progress that tells whether a part of the running revision may be committed."""
RUNNING = "Running"
"""The activity of a real upgrade, as opposed to a run on a scratch database."""


@dataclass(frozen=True)
class Guarded:
    """Whether the rescue locks of all databases that env.py visits are held."""

    held: bool
    look: Look | None = None
    """What was seen under the locks."""
    pid: int | None = None
    """The process that holds the lock; None if none is visible: a session of a killed upgrade may still run."""
    client: str = ""
    seconds: float | None = None
    """How long that process has been connected."""
    pooled: tuple[str, ...] = ()
    """The databases behind a connection pooler."""


@dataclass(frozen=True)
class Swallowed:
    """A failed statement after which the revision went on."""

    revision: str
    path: str
    line: int | None
    handler_line: int | None
    """The line of the ``except`` that hid the failure."""
    statement: str
    error: str


@dataclass(frozen=True)
class VisitRan:
    """What ran at one of env.py's visits."""

    ran: tuple[str, ...]
    """The revisions that ran to their end, even if they were rolled back later."""
    failed: str | None = None
    """The revision that did not."""
    kept: tuple[str, ...] = ()
    """Those of `ran` that were committed with their version, although the run failed."""


@dataclass(frozen=True)
class InvalidIndex:
    """An index that exists and is not valid."""

    name: str
    database: str


@dataclass(frozen=True)
class Ran:
    """The result of one ``alembic upgrade``."""

    visits: tuple[VisitRan, ...]
    """In env.py's order."""
    swallowed: tuple[Swallowed, ...] = ()
    failure: RescueError | None = None
    place: str = ""
    """File and line of the failed statement; empty if it was not in a revision."""
    for_a_lock: bool = False
    """Whether it failed because of a lock that another session held, or a deadlock: a retry may pass."""
    rolled_back: bool = False
    """Whether nothing is left of the failed revision, as shown by the rows and the catalog."""
    unguarded: bool = False
    """Whether the rescue lock was lost during the run."""
    log: tuple[str, ...] = ()
    """What ``alembic upgrade`` would have logged for the failure."""
    invalid: tuple[InvalidIndex, ...] = ()
    """What no query uses, although the run succeeded."""


@dataclass(frozen=True)
class Rows:
    """What the rows of a live database say."""

    answers: tuple[Answer, ...]
    sizes: dict[str, TableSize]
    """By table name; existing tables only."""


@dataclass(frozen=True)
class Progress:
    """Progress of a long operation."""

    doing: str
    number: int = 0
    of: int = 0
    revision: str = ""
    facts: dict[str, str] = field(default_factory=dict)
