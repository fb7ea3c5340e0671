"""What was observed on a scratch database while the chain ran, and what a catalog holds.  Frozen values, no I/O.

Both sides are read by the same reader, in the server's own words, so that equal means equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from alembic_rescue.model import Blocker, Note

Facts = Mapping[str, str]
"""What a catalog says of one object, by the fact's name, in the server's own words.  What has no value is not there."""


@dataclass(frozen=True, order=True)
class CatalogObject:
    """The identity of one object: the same text in every database, whatever its oid is there."""

    kind: str
    """PostgreSQL's own word where it has one (``pg_identify_object``): ``table``, ``table column``, ``index``,
    ``table constraint``, ``default value``, ``type``, ``enum label``, ``function``, ``trigger``, ``view`` ..."""
    name: str
    """Qualified with its schema and, where it has one, its parent: ``public.orders.id``, ``ck on public.orders``."""
    parent: str = ""
    """The name of the object that it comes and goes with: the table of a column, the type of an enum's label."""


Catalog = Mapping[CatalogObject, Facts]
"""All objects that were read, each with its facts."""


@dataclass(frozen=True)
class Change:
    """What a revision did to one object."""

    object: CatalogObject
    before: Facts | None
    """None: it was not there."""
    after: Facts | None
    """None: it is not there any more."""
    statement: int | None = None
    """Which of the observation's statements made it, as far as that is known."""


@dataclass(frozen=True)
class Unread:
    """An object of the live database that could not be read, and why."""

    object: CatalogObject
    reason: str
    locked: str = ""
    """The table or view that somebody has locked, if that is why."""


@dataclass(frozen=True)
class Reading:
    """What was read of a live database: of the objects asked for, and of what belongs to them."""

    catalog: Catalog
    unread: tuple[Unread, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    """Who has locked what could not be read."""


class StatementKind(str, Enum):
    """What a statement does, as far as its own text says."""

    QUERY = "query"
    """It only reads."""
    SESSION = "session"
    """It changes nothing that outlives the session: SET, SAVEPOINT, LOCK, a temporary table."""
    CATALOG = "catalog"
    """It changes a catalog, which can be read."""
    DATA = "data"
    """It changes, or may change, what no catalog answers for: rows, sequences' values, a call, a dynamic block."""


@dataclass(frozen=True)
class Statement:
    """One statement that a revision sent."""

    sql: str
    kind: StatementKind
    path: str
    """The project's file whose line sent it: the revision's own, or that of a helper module."""
    line: int | None
    error: str | None = None
    """What the server answered, where it failed (whatever the revision did about it)."""
    handler_line: int | None = None
    """The line of the ``except`` in `path` that hid the failure, where the revision went on after it."""
    runnable: bool = True
    """The text is what was sent, to the letter: no parameter was put into it, and no secret taken out."""


@dataclass(frozen=True)
class LeftOut:
    """A line of a revision, or of what it calls in the project, that could send something and did not run."""

    path: str
    line: int
    source: str
    """The line, stripped."""
    sends: StatementKind
    """CATALOG where it is one of Alembic's operations or constant DDL; DATA for all else."""
    names: tuple[str, ...] = ()
    """The constants in it: the objects that it may be about."""


@dataclass(frozen=True)
class Outside:
    """Something that a revision's code wanted outside of the scratch database, and was refused."""

    what: str
    path: str
    line: int | None


@dataclass(frozen=True)
class Failure:
    """Why a revision could not be run to its end."""

    error: str
    """In the server's or Python's own words, on one line."""
    path: str
    line: int | None
    statement: str = ""


@dataclass(frozen=True)
class Made:
    """What came of statements that were run on a copy."""

    changes: tuple[Change, ...] = ()
    failure: Failure | None = None
    """Of the first that failed, where one did."""


@dataclass(frozen=True)
class At:
    """A line of the project's."""

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
        """What ran before it is lost."""
        return self.how.lower().startswith("rollback")


@dataclass(frozen=True)
class Observation:
    """What one revision did on the scratch database."""

    revision: str
    changes: tuple[Change, ...] = ()
    renames: tuple[tuple[CatalogObject, CatalogObject], ...] = ()
    """Objects that go by another name since: the old one and the new one.  Both are among `changes`, too, but for a
    new name under which there was the like before."""
    statements: tuple[Statement, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    outside: tuple[Outside, ...] = ()
    failure: Failure | None = None
    """It failed: what it had done until then was rolled back, and the chain went on as if it had run."""
    path: str = ""
    """The revision's own file."""
    line: int | None = None
    """Of its ``upgrade()``."""
    by_date: tuple[CatalogObject, ...] = ()
    """Tables that it made, and whose names come from the date on which it ran."""
    beside: tuple[CatalogObject, ...] = ()
    """What was there besides when it had run: on the tables that it touched, and under names in lines left out."""
    ends: tuple[Ended, ...] = ()
    """Where it ended the transaction that Alembic had begun."""

    @property
    def made(self) -> frozenset[CatalogObject]:
        """What was not there before it ran."""
        return frozenset(change.object for change in self.changes if change.before is None)


@dataclass(frozen=True)
class Unobserved:
    """Why a revision was not observed at all."""

    revision: str
    reason: str
    help: str = ""
    sql: str = ""
    """What it would have sent, as far as that can be told without a database."""


@dataclass(frozen=True)
class Chain:
    """What the scratch side found out for one database."""

    observations: tuple[Observation | Unobserved, ...]
    """One for each revision asked for, in the order in which they ran."""
    server_version: str = ""
    provided: tuple[str, ...] = ()
    """What was made first because the chain takes it for granted: roles, schemas, extensions, settings."""
    notes: tuple[Note, ...] = ()
    """What a person should know of how it was observed, or why it was not."""

    @property
    def is_missing(self) -> bool:
        """Nothing was observed, and there is no server on which it could be."""
        return not self.server_version and bool(self.notes)
