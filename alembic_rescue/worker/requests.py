"""What the caller and its workers tell one another, as frozen values.  No I/O."""

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
    """What of a Config that was handed over as an object can travel: see :mod:`alembic_rescue.project.travelling`."""
    folder: str = "."
    """The working directory in which it was named: relative names stay what they meant, wherever the caller goes."""
    recovered: tuple[str, ...] = ()
    """Folders with revisions that the scripts do not have, and that count as theirs: see :mod:`alembic_rescue.lost`."""


@dataclass(frozen=True)
class Loaded:
    """What a project says of itself once it is loaded."""

    source: str
    """Where the configuration comes from, for people."""
    settings: dict[str, str]
    """Of the section ``[alembic_rescue]``."""
    env: Path
    """The project's env.py."""
    files: tuple[str, ...]
    """The configuration's own."""
    options: str
    """A digest of what is configured, but for the URLs of databases."""
    has_url: bool
    """A database was named with ``--url``."""
    lock_seconds: float
    statement_seconds: float
    connect_seconds: float
    locations: tuple[str, ...] = ()
    """The folders in which revisions may be."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of ``alembic`` and ``sqlalchemy``, as the project has them."""
    installed: str = ""
    """A digest of all that the project has installed."""
    drivers: tuple[str, ...] = ()
    """Those that work without an event loop, as they are imported."""


@dataclass(frozen=True)
class ScriptFile:
    """One revision, as its file tells it without being run."""

    revision: str
    down_revision: tuple[str, ...] | str | None
    depends_on: tuple[str, ...] | str | None
    branch_labels: tuple[str, ...] | str | None
    doc: str
    path: Path
    content: str
    """``sha256:...`` of the file."""
    asks_for_the_database: bool = False
    """It speaks of the database's name, so that what it does may depend on that."""


@dataclass(frozen=True)
class Visited:
    """One visit of env.py's, as the live look saw it."""

    database: Database
    asked: dict[str, str]
    """What the driver was asked for: ``host``, ``port``, ``database``, ``user``; no password."""
    driver: str
    """As SQLAlchemy names dialect and driver: ``postgresql+psycopg2``."""
    transactional: bool
    """A run that fails is rolled back as a whole; else each statement stays that ran before the failure."""
    surroundings: Surroundings | None = None
    remarks: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Look:
    """What a run of env.py saw."""

    visited: tuple[Visited, ...]
    scripts: tuple[ScriptFile, ...]
    unreadable: tuple[Path, ...] = ()
    """Script files that must be run to be told."""


@dataclass(frozen=True)
class ToWrite:
    """One database of a write, as planned."""

    identity: Identity
    rows_before: tuple[str, ...]
    stamps: tuple[Stamp, ...]


@dataclass(frozen=True)
class Backend:
    """The server's process that is about to write."""

    pid: int
    started: str
    """Its start, in the server's words: a pid alone may be somebody else's by now."""
    key: tuple[str, str]
    """The :attr:`Identity.rows_key` of what it writes."""


@dataclass(frozen=True)
class Tally:
    """What became of the statements that were sent to one database."""

    checked: bool = False
    """It came as far as writing."""
    sent: int = 0
    answered: int = 0
    rows: int = 0

    @property
    def nothing_written(self) -> bool:
        """Known for sure: each statement was refused, or changed no row."""
        return self.rows == 0 and self.answered == self.sent


@dataclass(frozen=True)
class Written:
    """What came of a write, and what new connections see."""

    tallies: dict[tuple[str, str], Tally]
    """By :attr:`Identity.rows_key`."""
    failure: RescueError | None = None
    interrupted: bool = False
    found: tuple[Database, ...] = ()
    unread: RescueError | None = None


@dataclass(frozen=True)
class Rows:
    """What the rows of a live database say."""

    answers: tuple[Answer, ...]
    sizes: dict[str, TableSize]
    """By the table's name, of those that are there."""


@dataclass(frozen=True)
class Progress:
    """How far a long piece of work is."""

    doing: str
    number: int = 0
    of: int = 0
    revision: str = ""
    facts: dict[str, str] = field(default_factory=dict)
