"""The evidence about a range of revisions: frozen values, shared by the text output, the JSON and the API."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """Whether the effects of a revision exist.  Only APPLIED means proved."""

    APPLIED = "applied"
    PARTIAL = "partial"
    NOT_APPLIED = "not-applied"
    UNVERIFIABLE = "unverifiable"
    EMPTY = "empty"

    @property
    def words(self) -> str:
        """The verdict in words: ``not applied``."""
        return self.value.replace("-", " ")


class Presence(str, Enum):
    """Whether an object is as expected."""

    PRESENT = "present"
    ABSENT = "absent"
    DIFFERENT = "different"
    UNVERIFIABLE = "unverifiable"


SETTLED = frozenset([Verdict.APPLIED, Verdict.EMPTY])
"""The verdicts that a stamp may mark as applied without any override."""


@dataclass(frozen=True)
class ObjectEvidence:
    """The evidence for one object; or for a statement, which the catalog cannot show."""

    kind: str
    name: str
    expected: str
    """``present`` or ``absent``."""
    presence: Presence
    detail: str | None
    path: str
    line: int | None
    sql: str | None
    """The SQL that would fix it; None if it needs no fix, if another object's statement includes it, or if there is
    no safe SQL."""
    vacuous: bool = False
    """It is as expected, but would be even if the revision had never run."""
    as_before: bool = False
    """It exists, and is as it was before the revision."""
    locked: str = ""
    """What another session has locked, so that this object could not be read."""

    @property
    def named(self) -> str:
        """For a sentence: ``table public.orders``; for a statement, the statement."""
        return self.name if self.kind == "statement" else f"{self.kind} {self.name}"

    @property
    def met(self) -> bool:
        """Whether it is as expected."""
        return self.presence.value == self.expected


@dataclass(frozen=True)
class RevisionEvidence:
    """The evidence for one revision."""

    revision: str
    verdict: Verdict
    objects: tuple[ObjectEvidence, ...]
    cancelled_by: tuple[str, ...] = ()
    """Later revisions of the range that revert or replace effects of this one."""

    @property
    def missing(self) -> tuple[ObjectEvidence, ...]:
        """The objects that are not as expected."""
        return tuple(o for o in self.objects if not o.met and o.presence is not Presence.UNVERIFIABLE)

    @property
    def holds(self) -> bool:
        """Whether an object exists, or is gone, only because the revision ran."""
        return any(o.met and not o.vacuous for o in self.objects) and self.verdict is not Verdict.NOT_APPLIED

    @property
    def unread(self) -> tuple[ObjectEvidence, ...]:
        """The objects that cannot be verified."""
        return tuple(o for o in self.objects if o.presence is Presence.UNVERIFIABLE)

    @property
    def place(self) -> str:
        """File and line of what cannot be verified; empty if unknown."""
        told = next((o for o in self.unread if o.path), None)
        return "" if told is None else f"{told.path}:{told.line}" if told.line else told.path

    @property
    def is_there(self) -> bool:
        """Whether it has run, as far as the catalog shows: only the rest, such as rows, cannot be verified."""
        proved = any(o.met and not o.vacuous and o.kind != "statement" for o in self.objects)
        return self.verdict is Verdict.APPLIED or (self.verdict is Verdict.UNVERIFIABLE and proved and not self.missing)


@dataclass(frozen=True)
class Cause:
    """A statement of a pending revision that fails on the database in its current state."""

    revision: str
    path: str
    line: int
    statement: str
    """The first words of the statement."""
    error: str
    """Why it fails: what exists already, or is missing."""
    swallowed: bool
    """It is in a ``try``/``except`` that hides the failure without a SAVEPOINT."""
    handler_line: int | None
    """The line of the ``except``."""
    fix: str
    aborts: bool = True
    """The failure aborts the transaction and rolls back the run; otherwise the version advances despite the failure."""
    fails: bool = True
    """False: the object exists already in another form, and stays so without an error."""
    without_rows: bool = False
    """It fails on a copy of the schema, which has no rows; with rows it may not."""
    code: str = ""
    """The finding's code, if the fault is in the code around the statements and not in a statement.  `error` then says
    what the line does."""
    steps: tuple[str, ...] = ()
    """The statements that carry out `fix`, in order."""
    logged: bool = False
    """It comes from the deployment's log; nothing failed here."""

    @property
    def place(self) -> str:
        """File and line; only the file if the line is unknown."""
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True)
class LeftOver:
    """A table left over from an interrupted operation of several statements; the next run fails on it."""

    table: str
    """The table that it was meant to replace."""
    copy: str
    holds_the_rows: bool
    """The original table is already gone, and the copy has all its rows."""
    sql: str
    """The SQL that fixes it."""


@dataclass(frozen=True)
class Proof:
    """The evidence for a range of revisions on one database, and what follows from it."""

    revisions: tuple[RevisionEvidence, ...]
    proved: str | None
    """The furthest revision up to which everything is proved; None if nothing is."""
    causes: tuple[Cause, ...] = ()
    transactional: bool = True
    """A failed run is rolled back as a whole; otherwise every statement that ran before the failure persists."""
    left_over: tuple[LeftOver, ...] = ()
    """What must be fixed first."""
