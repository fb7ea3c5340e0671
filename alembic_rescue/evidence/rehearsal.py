"""What a rehearsal found: the run on a copy, checks that depend on rows, and locks.  Frozen values, no I/O."""

# ruff: noqa: S608 - the SQL is made of names and expressions that the server wrote

from __future__ import annotations

from dataclasses import dataclass

from alembic_rescue.evidence.model import Cause

FIXES = {
    "not-null": "give the rows that have none a value first: UPDATE in the migration "
    "(a server_default helps a new column only)",
    "unique": "first remove or merge the duplicate rows, in the migration",
    "foreign-key": "first fix or delete the orphaned rows, in the migration",
    "check": "first fix the rows that the constraint rejects, in the migration",
    "type": "first fix the rows that cannot be converted, in the migration",
    "expression": "first fix the rows on which the expression fails, in the migration",
    "computed": "first fix the rows on which the expression fails, in the migration",
}
"""The fix for rows that violate a demand, by the demand's kind."""

FILLED = "filled"
"""The kind of a demand on rows that the run itself creates from live ones."""


@dataclass(frozen=True)
class Demand:
    """Something that the schema requires of rows from a revision on, and did not before.  Only the rows can answer it.

    The SQL in the fields is for the live database in its state before the run.
    """

    revision: str
    kind: str
    """``not-null``, ``unique``, ``foreign-key``, ``check``, ``type`` or ``expression``; others are never answered."""
    what: str
    """For a sentence: ``public.orders.note is NOT NULL``."""
    violation: str
    """What is wrong with a violating row, worded to follow "3 rows": ``with NULL in note``."""
    table: str
    """The table's name before the run."""
    columns: tuple[str, ...] = ()
    """SQL for the table's columns if the run renames them or adds new ones; empty: the columns as they are."""
    where: str = ""
    """A condition that is true for violating rows."""
    tried: str = ""
    """Instead of `where`: an expression that fails on such a row."""
    key: tuple[str, ...] = ()
    """The columns that identify a row."""
    whole: bool = False
    """Reading part of the table is not enough."""
    refused: str = ""
    """Why the rows cannot be checked."""
    keyed: str = ""
    """The key for people: the names of its columns."""
    of: tuple[str, ...] = ()
    """The columns that it concerns, unquoted."""
    about: str = ""
    """The column, constraint or index that it concerns."""
    names: tuple[str, ...] = ()
    """The tables that it concerns, before and after the run, without schema and quotes."""

    def query(self, sample: str = "") -> str:
        """Return the query for the violating rows' keys.

        Args:
            sample: the clause that makes the server read only a part of the table.
        """
        return f"SELECT {', '.join(self.key)} FROM {self._rows(sample)} WHERE {self.where}"

    def counted(self, sample: str = "") -> str:
        """Return the query that counts the violating rows."""
        return f"SELECT count(*) FROM {self._rows(sample)} WHERE {self.where}"

    def trial(self) -> str:
        """Return the query that fails if a row violates the demand."""
        return f"SELECT count({self.tried}) FROM {self._rows('')}"

    def _rows(self, sample: str) -> str:
        if not self.columns:
            return f"{self.table} AS r{sample}"
        return f"(SELECT {', '.join(self.columns)} FROM {self.table}{sample}) AS r"


@dataclass(frozen=True)
class Answer:
    """What the live rows answer to a demand."""

    demand: Demand
    count: int | None = None
    """The number of violating rows; None: unknown."""
    keys: tuple[str, ...] = ()
    """The keys of the first violating rows."""
    estimated: bool = False
    """The count is estimated from a part of the table: reading all of it took too long."""
    unknown: str = ""
    """Why they could not be checked."""
    fails: bool = False
    """At least one row violates it, but the rows were not counted."""
    path: str = ""
    line: int | None = None
    """The line of the statement that demands it, if known."""
    mended_by: tuple[str, ...] = ()
    """Where the run itself changes rows of that table first: the rows may conform by then."""

    @property
    def told(self) -> str:
        """For a sentence: ``3 rows have ...``."""
        if self.unknown:
            return f"the rows could not be checked: {self.unknown}"
        if self.count is None:
            number = "at least one row"
        else:
            some = "1 row" if self.count == 1 else f"{self.count:,} rows"
            number = f"about {some}" if self.estimated else some
        return f"{number} {self.demand.violation}"

    @property
    def violated(self) -> bool:
        """Whether rows violate it now."""
        return self.fails or bool(self.count)

    @property
    def fix(self) -> str:
        """How to fix these rows; empty if there are none, or if the run itself may fix them."""
        return FIXES[self.demand.kind] if self.violated and not self.mended_by else ""


@dataclass(frozen=True)
class TableSize:
    """The size of a table."""

    bytes: int
    """Including its indexes."""
    rows: int
    """The server's estimate."""


@dataclass(frozen=True)
class Lock:
    """A lock that a revision takes on an existing table and holds until its transaction ends."""

    revision: str
    table: str
    mode: str
    """PostgreSQL's name for it: ``AccessExclusiveLock``."""
    rewrites: bool
    """The whole table is rewritten under the lock."""
    size: TableSize | None = None
    """The table's current size; None: unknown."""


@dataclass(frozen=True)
class Rehearsal:
    """The outcome of a rehearsal."""

    revisions: tuple[str, ...]
    """The revisions that ran, or would have run, in Alembic's order."""
    failed: str | None = None
    """The revision where the run ends."""
    error: str = ""
    """The reason, in the server's or Python's words; or what is wrong with how env.py runs it."""
    path: str = ""
    line: int | None = None
    statement: str = ""
    fix: str = ""
    """The fix, if env.py is at fault."""
    undecided: bool = False
    """The live database may behave differently: the copy has no rows, and may lack objects."""
    causes: tuple[Cause, ...] = ()
    """The underlying failures, including swallowed ones."""
    answers: tuple[Answer, ...] = ()
    locks: tuple[Lock, ...] = ()
    """The locks on large tables."""
    unrehearsed: tuple[str, ...] = ()
    """Where the run works on rows; the copy has none."""
    rows_unasked: str = ""
    """Why no rows were checked at all."""

    @property
    def violations(self) -> tuple[Answer, ...]:
        """The demands that rows violate, and that nothing in the run fixes."""
        return tuple(answer for answer in self.answers if answer.violated and not answer.mended_by)

    @property
    def untold(self) -> tuple[Answer, ...]:
        """The demands for which the rows could not be checked."""
        return tuple(one for one in self.answers if one.unknown and not one.estimated and not one.mended_by)

    @property
    def why(self) -> str:
        """Why it fails, or why that is unknown, for a sentence; empty if it passes."""
        if self.error and (self.failed is None or self.failed == self.fails_at):
            place = f" ({self.path}:{self.line})" if self.path and self.line else ""
            told = f"{self.failed} fails: {self.error}{place}" if self.failed else self.error
            return f"on a copy, which has no rows, {told}" if self.undecided else told
        answer = next((one for one in self.violations if one.demand.revision == self.fails_at), None)
        if answer is None:
            return next((f"{one.demand.revision}: {one.demand.what}, and {one.told}" for one in self.untold), "")
        are = "is" if answer.count == 1 or answer.count is None else "are"
        return f"{answer.demand.revision} fails: {answer.demand.what}, and there {are} {answer.told}"

    @property
    def is_sure(self) -> bool:
        """Whether everything could be checked, and the run itself changes no answer."""
        told = all(not one.unknown and not (one.mended_by and one.violated) for one in self.answers)
        return told and not self.undecided and not self.rows_unasked and not self.unrehearsed

    @property
    def passes(self) -> bool:
        """Whether it ran to the end, and nothing was found that would make the next upgrade fail."""
        return not self.error and not self.violations and not self.untold

    @property
    def fails(self) -> bool:
        """Whether the next upgrade will fail; if unknown, neither this nor :attr:`passes` is true."""
        return bool(self.violations) or (bool(self.error) and not self.undecided)

    @property
    def fails_at(self) -> str | None:
        """The first revision where the upgrade would fail, if known."""
        found = {answer.demand.revision for answer in self.violations} | {self.failed}
        return next((revision for revision in self.revisions if revision in found), None)
