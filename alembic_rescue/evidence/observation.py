"""What was observed on a scratch database while the chain ran, and what a catalog contains.  Frozen values, no I/O.

The same reader reads both sides, in the server's own words, so that equal texts mean equal objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from alembic_rescue.model import Blocker, Note

Facts = Mapping[str, str]
"""What a catalog says about one object, by fact name, in the server's own words.  Facts without a value are absent."""


@dataclass(frozen=True, order=True)
class CatalogObject:
    """The identity of one object: the same text in every database, whatever its oid."""

    kind: str
    """PostgreSQL's own word if it has one (``pg_identify_object``): ``table``, ``table column``, ``index``,
    ``table constraint``, ``default value``, ``type``, ``enum label``, ``function``, ``trigger``, ``view`` ..."""
    name: str
    """Qualified with its schema and, if any, its parent: ``public.orders.id``, ``ck on public.orders``."""
    parent: str = ""
    """The name of the object that it comes and goes with: a column's table, an enum label's type."""


Catalog = Mapping[CatalogObject, Facts]
"""All objects that were read, each with its facts."""


@dataclass(frozen=True)
class Change:
    """What a revision did to one object."""

    object: CatalogObject
    before: Facts | None
    """None: it did not exist."""
    after: Facts | None
    """None: it no longer exists."""
    statement: int | None = None
    """The index of the observation's statement that made the change, if known."""


@dataclass(frozen=True)
class Unread:
    """An object of the live database that could not be read, and why."""

    object: CatalogObject
    reason: str
    locked: str = ""
    """The table or view that another session has locked, if that is the reason."""


@dataclass(frozen=True)
class Reading:
    """What was read of a live database: the requested objects, and what belongs to them."""

    catalog: Catalog
    unread: tuple[Unread, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    """The sessions that lock what could not be read."""


class StatementKind(str, Enum):
    """What a statement does, judging by its text alone."""

    QUERY = "query"
    """It only reads."""
    SESSION = "session"
    """It changes nothing that outlives the session: SET, SAVEPOINT, LOCK, a temporary table."""
    CATALOG = "catalog"
    """It changes the catalog, which can be read."""
    DATA = "data"
    """It changes, or may change, what the catalog cannot show: rows, sequence values, a call, a dynamic block."""


@dataclass(frozen=True)
class Statement:
    """One statement that a revision sent."""

    sql: str
    kind: StatementKind
    path: str
    """The project's file that sent it: the revision's own, or a helper module's."""
    line: int | None
    error: str | None = None
    """The server's error message, if it failed (whatever the revision did about it)."""
    handler_line: int | None = None
    """The line of the ``except`` in `path` that hid the failure, if the revision went on after it."""
    runnable: bool = True
    """The text is exactly what was sent: no parameter was inserted, and no secret removed."""
    in_autocommit: bool = False
    """There was no transaction that its failure could abort, as in an ``autocommit_block()``."""


@dataclass(frozen=True)
class LeftOut:
    """A line of a revision, or of project code that it calls, that could send something and did not run."""

    path: str
    line: int
    source: str
    """The line, stripped."""
    sends: StatementKind
    """CATALOG for Alembic's operations and constant DDL; DATA for everything else."""
    names: tuple[str, ...] = ()
    """The constants in it: the objects that it may concern."""


@dataclass(frozen=True)
class Outside:
    """An attempt of a revision's code to reach outside the scratch database, which was refused."""

    what: str
    path: str
    line: int | None


@dataclass(frozen=True)
class Failure:
    """Why a revision could not run to its end."""

    error: str
    """In the server's or Python's own words, on one line."""
    path: str
    line: int | None
    statement: str = ""


@dataclass(frozen=True)
class Made:
    """The outcome of statements that ran on a copy."""

    changes: tuple[Change, ...] = ()
    failure: Failure | None = None
    """The first failure, if any."""


@dataclass(frozen=True)
class At:
    """A line of the project's code."""

    path: str
    line: int


@dataclass(frozen=True)
class Ended:
    """A revision's line that ends the transaction that Alembic began."""

    revision: str
    at: At
    how: str
    """``commit()``, ``rollback()``, or the statement."""

    @property
    def goes_back(self) -> bool:
        """Whether what ran before it is lost."""
        return self.how.lower().startswith("rollback")


@dataclass(frozen=True)
class Observation:
    """What one revision did on the scratch database."""

    revision: str
    changes: tuple[Change, ...] = ()
    renames: tuple[tuple[CatalogObject, CatalogObject], ...] = ()
    """The old and new name of each renamed object.  Both are in `changes`, too, unless an identical object had the new
    name before."""
    statements: tuple[Statement, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    outside: tuple[Outside, ...] = ()
    failure: Failure | None = None
    """It failed: its effects until then were rolled back, and the chain went on as if it had run."""
    path: str = ""
    """The revision's own file."""
    line: int | None = None
    """The line of its ``upgrade()``."""
    by_date: tuple[CatalogObject, ...] = ()
    """Tables that it created, with names derived from the date of the run."""
    beside: tuple[CatalogObject, ...] = ()
    """What else existed after it ran: on the tables that it touched, and under names in lines left out."""
    ends: tuple[Ended, ...] = ()
    """Where it ended the transaction that Alembic had begun."""

    @property
    def made(self) -> frozenset[CatalogObject]:
        """What did not exist before it ran."""
        return frozenset(change.object for change in self.changes if change.before is None)


@dataclass(frozen=True)
class Unobserved:
    """Why a revision was not observed at all."""

    revision: str
    reason: str
    help: str = ""
    sql: str = ""
    """What it would have sent, as far as that can be determined without a database."""


@dataclass(frozen=True)
class Chain:
    """What the scratch side found for one database."""

    observations: tuple[Observation | Unobserved, ...]
    """One for each requested revision, in the order in which they ran."""
    server_version: str = ""
    provided: tuple[str, ...] = ()
    """Prerequisites that the chain assumes and that were created first: roles, schemas, extensions, settings."""
    notes: tuple[Note, ...] = ()
    """What a person should know about how it was observed, or why it was not."""

    @property
    def is_missing(self) -> bool:
        """Whether nothing was observed, for lack of a server."""
        return not self.server_version and bool(self.notes)
