"""What a scratch worker learns about a project without its databases.  Frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic_rescue.evidence.observation import Failure
from alembic_rescue.worker.requests import ScriptFile


@dataclass(frozen=True)
class StandIn:
    """Replaces a URL that is missing or invalid.  It is redirected like any other URL."""

    url: str
    variables: tuple[str, ...]
    """Environment variables to set to it; ``sqlalchemy.url`` is set, too."""


@dataclass(frozen=True)
class Reached:
    """How far env.py gets without a database."""

    dialect: str
    """The dialect of the first database that it opens; empty if it opens none."""
    failure: Failure | None = None
    """Why it opens no database."""
    scripts: tuple[ScriptFile, ...] = ()
    unreadable: tuple[Path, ...] = ()
    """Script files whose revisions are known only by running them."""


@dataclass(frozen=True)
class Seen:
    """One visit of env.py to an empty database."""

    dialect: str
    driver: str
    """As SQLAlchemy names dialect and driver: ``postgresql+psycopg2``."""
    asked: dict[str, str]
    """The connect arguments that the scratch database replaces; no password."""
    table: str
    """The version table."""
    schema: str | None
    """``version_table_schema`` as env.py configures it."""
    transactional: bool
    called: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seeing:
    """All visits of one run."""

    visits: tuple[Seen, ...]
    failure: Failure | None = None
    """The error with which env.py ended."""


@dataclass(frozen=True)
class Compared:
    """What ``alembic check`` reports for one visit."""

    visit: int
    differences: tuple[str, ...]
