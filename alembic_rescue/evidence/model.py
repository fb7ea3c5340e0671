"""What the evidence says of a range of revisions: frozen values, the same for the text, the JSON and the API."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """Whether what a revision does is there.  Only APPLIED means that it was proved."""

    APPLIED = "applied"
    PARTIAL = "partial"
    NOT_APPLIED = "not-applied"
    UNVERIFIABLE = "unverifiable"
    EMPTY = "empty"

    @property
    def words(self) -> str:
        """As a person writes it."""
        return self.value.replace("-", " ")


class Presence(str, Enum):
    """Whether what is expected of an object holds."""

    PRESENT = "present"
    ABSENT = "absent"
    DIFFERENT = "different"
    UNVERIFIABLE = "unverifiable"


SETTLED = frozenset([Verdict.APPLIED, Verdict.EMPTY])
"""The verdicts of a revision that a stamp may mark as applied with nothing to be accepted."""


@dataclass(frozen=True)
class ObjectEvidence:
    """One object in the light of the catalog; or a statement, which no catalog answers for."""

    kind: str
    name: str
    expected: str
    """``present`` or ``absent``."""
    presence: Presence
    detail: str | None
    path: str
    line: int | None
    sql: str | None
    """What would make it so; None where it is so, where another object's statement brings it along, or where nothing
    can be offered."""
    vacuous: bool = False
    """It holds, but would hold too if the revision had never run."""
    as_before: bool = False
    """It is there, and as it was before the revision."""
    locked: str = ""
    """What somebody has locked, so that this could not be read."""

    @property
    def named(self) -> str:
        """For a sentence: ``table public.orders``; a statement stands for itself."""
        return self.name if self.kind == "statement" else f"{self.kind} {self.name}"

    @property
    def met(self) -> bool:
        """What is expected holds."""
        return self.presence.value == self.expected


@dataclass(frozen=True)
class RevisionEvidence:
    """One revision in the light of the catalog."""

    revision: str
    verdict: Verdict
    objects: tuple[ObjectEvidence, ...]
    cancelled_by: tuple[str, ...] = ()
    """Later revisions of the range that take back or replace effects of this one."""

    @property
    def missing(self) -> tuple[ObjectEvidence, ...]:
        """What does not hold."""
        return tuple(o for o in self.objects if not o.met and o.presence is not Presence.UNVERIFIABLE)

    @property
    def holds(self) -> bool:
        """Something of it is there, or gone, that would not be so had it not run."""
        return any(o.met and not o.vacuous for o in self.objects) and self.verdict is not Verdict.NOT_APPLIED

    @property
    def unread(self) -> tuple[ObjectEvidence, ...]:
        """What of it nobody can tell."""
        return tuple(o for o in self.objects if o.presence is Presence.UNVERIFIABLE)

    @property
    def place(self) -> str:
        """File and line of what cannot be checked; empty where nothing is told."""
        told = next((o for o in self.unread if o.path), None)
        return "" if told is None else f"{told.path}:{told.line}" if told.line else told.path

    @property
    def is_there(self) -> bool:
        """It has run, as far as catalogs tell: what nobody can tell of it is only the rest, such as rows."""
        proved = any(o.met and not o.vacuous and o.kind != "statement" for o in self.objects)
        return self.verdict is Verdict.APPLIED or (self.verdict is Verdict.UNVERIFIABLE and proved and not self.missing)


@dataclass(frozen=True)
class Cause:
    """A statement of a pending revision that fails on the database as it stands."""

    revision: str
    path: str
    line: int
    statement: str
    """Its first words."""
    error: str
    """Why it fails: what exists already, or does not exist."""
    swallowed: bool
    """Inside a ``try``/``except`` that hides the failure, without a SAVEPOINT."""
    handler_line: int | None
    """Of the ``except``."""
    fix: str
    aborts: bool = True
    """The failure aborts the transaction, and the run is rolled back with it; else the version moves on over it."""
    fails: bool = True
    """False: what it would make is there already, other than it would make it, and is left so without a word."""
    without_rows: bool = False
    """It fails on a copy of the schema, which has no rows; with rows it may not."""
    code: str = ""
    """Where no statement is at fault, but what is done around it: that finding's.  `error` then says what the line
    does."""
    steps: tuple[str, ...] = ()
    """Statements that do what `fix` says, in their order."""
    logged: bool = False
    """It is the deployment's log that tells it; here nothing was seen to fail."""

    @property
    def place(self) -> str:
        """File and line; only the file where the line is not known."""
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True)
class LeftOver:
    """A table that is left over where something broke off that takes several statements: the next run fails on it."""

    table: str
    """The table that it was to replace."""
    copy: str
    holds_the_rows: bool
    """The table itself is gone already: all its rows are in the copy."""
    sql: str
    """What fixes it."""


@dataclass(frozen=True)
class Proof:
    """The evidence for a range of revisions on one database, and what follows from it."""

    revisions: tuple[RevisionEvidence, ...]
    proved: str | None
    """The furthest revision up to which everything is proved; None where nothing is."""
    causes: tuple[Cause, ...] = ()
    transactional: bool = True
    """A run that fails is rolled back as a whole; else each statement stays that ran before the failure."""
    left_over: tuple[LeftOver, ...] = ()
    """What must be fixed before anything else is done."""
