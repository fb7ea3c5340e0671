"""What a rehearsal found out: the run on a copy, what only rows decide, and the locks.  Frozen values, no I/O."""

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
"""What to do about rows that do not fit, by the kind of what is demanded of them."""

FILLED = "filled"
"""The kind of a demand on rows that the run itself makes of live ones."""


@dataclass(frozen=True)
class Demand:
    """Something that the schema demands of rows from a revision on, and did not before.  Only the rows can answer.

    Its parts are SQL for the live database as it stands before the run.
    """

    revision: str
    kind: str
    """``not-null``, ``unique``, ``foreign-key``, ``check``, ``type`` or ``expression``; others are never answered."""
    what: str
    """For a sentence: ``public.orders.note is NOT NULL``."""
    violation: str
    """What a row is that does not fit, after "3 rows": ``with NULL in note``."""
    table: str
    """As it is called before the run."""
    columns: tuple[str, ...] = ()
    """What stands for the table's columns where they have other names by then, or are new; none: its own do."""
    where: str = ""
    """What is true of a row that does not fit."""
    tried: str = ""
    """In place of `where`: an expression that fails on such a row."""
    key: tuple[str, ...] = ()
    """What tells a row from the others."""
    whole: bool = False
    """Part of the table does not answer it."""
    refused: str = ""
    """Why the rows cannot be asked."""
    keyed: str = ""
    """The same for people: the columns' names."""
    of: tuple[str, ...] = ()
    """The columns that it is about, without quotes."""
    about: str = ""
    """The column, constraint or index."""
    names: tuple[str, ...] = ()
    """The tables that it is about, then and now, without schema and quotes."""

    def query(self, sample: str = "") -> str:
        """The rows that do not fit, by their keys.

        Args:
            sample: what has the server read only a part of the table.
        """
        return f"SELECT {', '.join(self.key)} FROM {self._rows(sample)} WHERE {self.where}"

    def counted(self, sample: str = "") -> str:
        """How many they are."""
        return f"SELECT count(*) FROM {self._rows(sample)} WHERE {self.where}"

    def trial(self) -> str:
        """What fails where one row does not fit."""
        return f"SELECT count({self.tried}) FROM {self._rows('')}"

    def _rows(self, sample: str) -> str:
        if not self.columns:
            return f"{self.table} AS r{sample}"
        return f"(SELECT {', '.join(self.columns)} FROM {self.table}{sample}) AS r"


@dataclass(frozen=True)
class Answer:
    """What the live rows say to a demand."""

    demand: Demand
    count: int | None = None
    """How many rows do not fit; None: not known."""
    keys: tuple[str, ...] = ()
    """Of the first of them."""
    estimated: bool = False
    """From a part of the table: reading all of it took too long."""
    unknown: str = ""
    """Why they could not be asked."""
    fails: bool = False
    """One row at least does not fit, though nobody counted them."""
    path: str = ""
    line: int | None = None
    """Of the statement that demands it, as far as that is known."""
    mended_by: tuple[str, ...] = ()
    """Where the run itself changes rows of that table before: these may fit by then."""

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
        """Whether there are rows now that do not fit."""
        return self.fails or bool(self.count)

    @property
    def fix(self) -> str:
        """What to do about these; empty where there are none, or the run itself may mend them."""
        return FIXES[self.demand.kind] if self.violated and not self.mended_by else ""


@dataclass(frozen=True)
class TableSize:
    """How large a table is."""

    bytes: int
    """With its indexes."""
    rows: int
    """As the server takes it to have."""


@dataclass(frozen=True)
class Lock:
    """A lock that a revision takes on a table that was there before, and keeps until its transaction ends."""

    revision: str
    table: str
    mode: str
    """PostgreSQL's own word: ``AccessExclusiveLock``."""
    rewrites: bool
    """The whole table is written anew under it."""
    size: TableSize | None = None
    """Of the table now; None: not known."""


@dataclass(frozen=True)
class Rehearsal:
    """What came of it."""

    revisions: tuple[str, ...]
    """Those that were run, or were to be run, in Alembic's order."""
    failed: str | None = None
    """The revision at which the run ends."""
    error: str = ""
    """Why, in the server's or Python's own words; or what is wrong with how env.py runs it."""
    path: str = ""
    line: int | None = None
    statement: str = ""
    fix: str = ""
    """What to do, where env.py is at fault."""
    undecided: bool = False
    """The live database may answer otherwise: the copy has no rows, and may lack something."""
    causes: tuple[Cause, ...] = ()
    """The failures behind it, swallowed ones too."""
    answers: tuple[Answer, ...] = ()
    locks: tuple[Lock, ...] = ()
    """Those on large tables."""
    unrehearsed: tuple[str, ...] = ()
    """Where the run works on rows, of which the copy has none."""
    rows_unasked: str = ""
    """Why the rows were not asked at all."""

    @property
    def violations(self) -> tuple[Answer, ...]:
        """The demands that rows do not fit, and that nothing in the run mends."""
        return tuple(answer for answer in self.answers if answer.violated and not answer.mended_by)

    @property
    def untold(self) -> tuple[Answer, ...]:
        """The demands of which nobody can tell whether the rows fit."""
        return tuple(one for one in self.answers if one.unknown and not one.estimated and not one.mended_by)

    @property
    def why(self) -> str:
        """Why it fails, or why nobody can tell, for a sentence; empty where it passes."""
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
        """Whether nothing was left that could not be asked, or that the run itself may change."""
        told = all(not one.unknown and not (one.mended_by and one.violated) for one in self.answers)
        return told and not self.undecided and not self.rows_unasked and not self.unrehearsed

    @property
    def passes(self) -> bool:
        """Whether it was run to its end, and nothing was found on which the next upgrade would fail."""
        return not self.error and not self.violations and not self.untold

    @property
    def fails(self) -> bool:
        """Whether the next upgrade will fail; neither this nor :attr:`passes` where nobody can tell."""
        return bool(self.violations) or (bool(self.error) and not self.undecided)

    @property
    def fails_at(self) -> str | None:
        """The first revision at which the upgrade would fail, where one is known."""
        found = {answer.demand.revision for answer in self.violations} | {self.failed}
        return next((revision for revision in self.revisions if revision in found), None)
