"""What a scratch worker is asked to run, and the outcome.  Frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alembic_rescue.evidence.handling import NOTHING, Handling
from alembic_rescue.evidence.observation import Failure, Observation, Statement
from alembic_rescue.evidence.rehearsal import Demand, Lock


@dataclass(frozen=True)
class ScratchVisit:
    """One visit of env.py seen by the live look, and what to run there."""

    schema: str | None
    """``version_table_schema`` as configured by env.py."""
    version_table: str
    behind: tuple[str, ...] = ()
    """The revisions that come before, in an order in which they can run: run, but not observed."""
    todo: tuple[str, ...] = ()
    """The revisions in question, in order.  In `behind` and `todo`, revisions that are applied according to the scratch
    database's version rows are skipped, so that the same request continues where an earlier worker ended."""
    database: Mapping[str, str] = field(default_factory=dict)
    """Address of the scratch database, as libpq parameters: host, port, user, dbname."""


@dataclass(frozen=True)
class VisitRun:
    """The outcome of one visit."""

    visit: int
    """Index of the requested visit, from 0."""
    observations: tuple[Observation, ...] = ()
    """Those of `todo` that ran, in order; the last one may have failed."""
    failed: str | None = None
    """The revision that failed and ended the visit."""
    failure: Failure | None = None
    """Why it failed."""


@dataclass(frozen=True)
class ChainRun:
    """The outcome of one run of env.py."""

    visits: tuple[VisitRun, ...] = ()
    unvisited: tuple[int, ...] = ()
    """Indexes of the requested visits that env.py did not make."""
    error: Failure | None = None
    """The error of env.py itself, outside any revision: a failure before its visits, a finding after them."""

    @property
    def is_whole(self) -> bool:
        """Whether each visit was made and finished."""
        return not self.unvisited and all(one.failed is None for one in self.visits)


@dataclass(frozen=True)
class OwnVisit:
    """The outcome of one visit in the project's own transactions."""

    visit: int
    ran: tuple[str, ...] = ()
    """The revisions whose ``upgrade()`` finished, in order."""
    failing: tuple[tuple[str, Statement], ...] = ()
    """The failed statements, including swallowed ones, each with its revision."""
    failed: str | None = None
    """The revision that failed and ended the visit."""
    failure: Failure | None = None
    transactional: bool = True
    """A failed run is rolled back as a whole; otherwise the statements before the failure persist."""
    rows_expected: tuple[str, ...] = ()
    """The version rows, as seen by the run at its end; if it failed, as it found them."""
    rows_found: tuple[str, ...] | None = None
    """The version rows, as a new connection read them afterwards; None if it could not."""
    unheard: tuple[tuple[str, Statement], ...] = ()
    """Statements that succeeded but would fail silently: inside a ``try`` that hides errors, without a SAVEPOINT."""
    handling: Handling = NOTHING
    sent: tuple[tuple[str, Statement], ...] = ()
    """The statements that changed a catalog or rows, each with its revision."""
    demands: tuple[Demand, ...] = ()
    """What the run requires of existing rows, of which a copy has none."""
    locks: tuple[Lock, ...] = ()

    @property
    def never_commits(self) -> bool:
        """Whether the run succeeded but its changes were not committed."""
        return self.failed is None and bool(self.ran) and self.rows_found not in {None, self.rows_expected}


@dataclass(frozen=True)
class OwnRun:
    """The outcome of one run of env.py in its own transactions."""

    visits: tuple[OwnVisit, ...] = ()
    unvisited: tuple[int, ...] = ()
    error: Failure | None = None
