"""What a scratch worker is asked to run, and what came of it.  Frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alembic_rescue.evidence.handling import NOTHING, Handling
from alembic_rescue.evidence.observation import Failure, Observation, Statement
from alembic_rescue.evidence.rehearsal import Demand, Lock


@dataclass(frozen=True)
class ScratchVisit:
    """One visit of env.py's that the live look saw, and what is to be run there."""

    schema: str | None
    """``version_table_schema`` as env.py configures it."""
    version_table: str
    behind: tuple[str, ...] = ()
    """The revisions that come before, in an order in which they can run: run, but not observed."""
    todo: tuple[str, ...] = ()
    """The revisions in question, in their order.  What the scratch database's version rows say to be there is skipped,
    of both: so the same request goes on where an earlier worker ended."""
    database: Mapping[str, str] = field(default_factory=dict)
    """Where the scratch database is, in libpq's words: host, port, user, dbname."""


@dataclass(frozen=True)
class VisitRun:
    """What came of one visit."""

    visit: int
    """Which of those asked for, from 0 on."""
    observations: tuple[Observation, ...] = ()
    """Those of `todo` that ran, in their order; the last may be one that failed."""
    failed: str | None = None
    """The revision that ended it."""
    failure: Failure | None = None
    """Why."""


@dataclass(frozen=True)
class ChainRun:
    """What came of one run of env.py."""

    visits: tuple[VisitRun, ...] = ()
    unvisited: tuple[int, ...] = ()
    """Which of the visits asked for env.py did not make."""
    error: Failure | None = None
    """What env.py itself failed with, outside of a revision: before its visits a failure, after them a finding."""

    @property
    def is_whole(self) -> bool:
        """Each visit was made, and ran to its end."""
        return not self.unvisited and all(one.failed is None for one in self.visits)


@dataclass(frozen=True)
class OwnVisit:
    """What came of one visit in the project's own transactions."""

    visit: int
    ran: tuple[str, ...] = ()
    """The revisions whose ``upgrade()`` came to its end, in their order."""
    failing: tuple[tuple[str, Statement], ...] = ()
    """The statements that failed, each with its revision: swallowed ones, too."""
    failed: str | None = None
    """The revision that ended it."""
    failure: Failure | None = None
    transactional: bool = True
    """A run that fails is rolled back as a whole; else each statement stays that ran before the failure."""
    rows_expected: tuple[str, ...] = ()
    """Of the version table, as the run itself saw them at its end; where it failed, as it found them."""
    rows_found: tuple[str, ...] | None = None
    """As a new connection read them afterwards; None where it could not."""
    unheard: tuple[tuple[str, Statement], ...] = ()
    """What went through, and would not be told if it failed: within a ``try`` that hides it, without a SAVEPOINT."""
    handling: Handling = NOTHING
    sent: tuple[tuple[str, Statement], ...] = ()
    """What changed a catalog, or rows, each with its revision."""
    demands: tuple[Demand, ...] = ()
    """What it comes to demand of rows, of which a copy has none."""
    locks: tuple[Lock, ...] = ()

    @property
    def never_commits(self) -> bool:
        """It ended well, and nothing of it stayed."""
        return self.failed is None and bool(self.ran) and self.rows_found not in {None, self.rows_expected}


@dataclass(frozen=True)
class OwnRun:
    """What came of one run of env.py in its own transactions."""

    visits: tuple[OwnVisit, ...] = ()
    unvisited: tuple[int, ...] = ()
    error: Failure | None = None
