"""What a scratch worker sees of a project whose databases nobody looks at.  Frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic_rescue.evidence.observation import Failure
from alembic_rescue.worker.requests import ScriptFile


@dataclass(frozen=True)
class StandIn:
    """What env.py finds in place of a URL that is missing, or is none.  It leads where any does."""

    url: str
    variables: tuple[str, ...]
    """Of the environment; besides, ``sqlalchemy.url`` is set to it."""


@dataclass(frozen=True)
class Reached:
    """How far env.py comes without a database."""

    dialect: str
    """Of the first database that it opens; empty where it opens none."""
    failure: Failure | None = None
    """Why it opens none."""
    scripts: tuple[ScriptFile, ...] = ()
    unreadable: tuple[Path, ...] = ()
    """Script files that must be run to be told."""


@dataclass(frozen=True)
class Seen:
    """One visit of env.py to an empty database."""

    dialect: str
    driver: str
    """As SQLAlchemy names dialect and driver: ``postgresql+psycopg2``."""
    asked: dict[str, str]
    """What the driver is asked for, in place of which the scratch database is opened; no password."""
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
    """What env.py ended with."""


@dataclass(frozen=True)
class Compared:
    """What ``alembic check`` says of one visit."""

    visit: int
    differences: tuple[str, ...]
