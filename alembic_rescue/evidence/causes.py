"""Why an upgrade fails: failures of the pending revisions on a copy of the live schema, reported as causes.  Pure.

The copy has no rows.  So a failure counts as a cause only if neither rows nor anything that the copy lacks can explain
it; everything else is left to the rehearsal.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from alembic_rescue.evidence import handling
from alembic_rescue.evidence.consequences import follows_another
from alembic_rescue.evidence.live import Live, labels
from alembic_rescue.evidence.model import Cause
from alembic_rescue.evidence.names import bare
from alembic_rescue.evidence.observation import (
    CatalogObject,
    Change,
    Failure,
    Observation,
    Reading,
    Statement,
    StatementKind,
    Unobserved,
)
from alembic_rescue.evidence.positions import Positions
from alembic_rescue.evidence.way_through import both_there

_OF_ROWS = re.compile(
    r"violates|duplicate key|null value in column|value too long|out of range|division by zero|more than one row|"
    r"contains null values|could not create unique index|cannot be cast to type"
)
"""Errors that depend on rows; the copy has none."""
_WITHOUT_ROWS = re.compile(
    r"(NoResultFound|MultipleResultsFound|TypeError|AttributeError|IndexError|KeyError|StopIteration|ValueError):"
)
"""What Python raises when a row is missing, or when every value of a column is NULL."""
_OF_CONSTANTS = re.compile(r"\s*SELECT\b(?:(?!\bFROM\b)[^(])*", re.IGNORECASE)
"""A query that reads no rows and calls no function that could."""
_OF_THE_COPY = re.compile(
    r"is not available|extension control file|canceling statement|deadlock|lock timeout|out of shared memory|"
    r"No space left|connection|to create extension|has no handler"
)
"""Errors that are the scratch server's fault."""
_ASKS_ROWS = re.compile(
    r"\bADD\s+CONSTRAINT\b|\bSET\s+NOT\s+NULL\b|\bTYPE\b|\bADD\s+COLUMN\b.*\bNOT\s+NULL\b|^\s*CREATE\s+UNIQUE\b",
    re.IGNORECASE | re.DOTALL,
)
"""Catalog changes that existing rows can make fail."""
_UNDEFINED = re.compile(r"does not exist|is not a |no unique constraint matching")
_QUOTED = re.compile(r'"((?:[^"]|"")+)"')
_WORD = re.compile(r'"(?:[^"]|"")+"|\w+')
_LONGEST = 100
"""The maximum length of a statement's first words, in characters."""


@dataclass(frozen=True)
class Upgrade:
    """The outcome of the pending revisions on a copy, run in the project's own transactions."""

    failing: tuple[tuple[str, Statement], ...] = ()
    """The statements that failed, each with its revision; includes swallowed failures."""
    failed: str | None = None
    """The revision that ended the run."""
    failure: Failure | None = None
    transactional: bool = True
    """A failed run is rolled back as a whole; otherwise every statement that ran before the failure persists."""
    lacking: Collection[str] = ()
    """What the live database has and the copy lacks: names, or the statements that would have created it."""
    unheard: tuple[tuple[str, Statement], ...] = ()
    """Statements that succeeded, but whose failure a ``try`` without a SAVEPOINT would hide."""
    handling: handling.Handling = handling.NOTHING


def causes(
    upgrade: Upgrade,
    steps: Sequence[Observation | Unobserved] = (),
    live: Reading | None = None,
    untouched: Collection[CatalogObject] = (),
) -> tuple[Cause, ...]:
    """Return the failures that explain themselves, in revision order, and problems that raise no error.

    Args:
        upgrade: the run's outcome.
        steps: what the pending revisions do on a scratch database.
        live: what the live database has under the names of :func:`~.judging.objects`.
        untouched: as in :func:`~.judging.judge`.
    """
    here = _Here(tuple(steps), live or Reading({}), untouched)
    taken = list(both_there(steps, here.catalog))
    in_the_way = {cause.revision for cause in taken}
    failing = (c for c in _failures(upgrade, here) if c.revision not in in_the_way or "already exists" not in c.error)
    found = [*taken, *failing, *_silent(upgrade, here)]
    found += handling.causes(upgrade.handling, upgrade.failed, [step.revision for step in steps])
    found = found or list(_unheard(upgrade))
    order = {step.revision: number for number, step in enumerate(steps)}
    return tuple(sorted(found, key=lambda cause: order.get(cause.revision, 0)))


def undecided(failure: Failure, lacking: Collection[str]) -> bool:
    """Return whether the live database may behave differently from the copy, which has no rows and lacks `lacking`."""
    of_rows = _WITHOUT_ROWS.match(failure.error) is not None
    return of_rows or _is_of_rows(failure.error, failure.statement) or _of_the_copy(failure.error, lacking)


class _Here:
    """The pending revisions compared with the live database."""

    def __init__(
        self, steps: tuple[Observation | Unobserved, ...], live: Reading, untouched: Collection[CatalogObject]
    ) -> None:
        self.observed = {step.revision: step for step in steps if isinstance(step, Observation)}
        self.live = Live(Positions(steps), live, {}, untouched)
        self.catalog = live.catalog

    def other_name(self, revision: str, name: str) -> str | None:
        """Return the live database's name for a constraint or index that the revision drops under `name`."""
        step = self.observed.get(revision)
        for change in step.changes if step is not None else ():
            if change.after is None and bare(change.object) == name and change.object in self.live.known_as:
                return bare(self.live.known_as[change.object])
        return None

    def invalid_index(self, revision: str, name: str) -> CatalogObject | None:
        """Return the index of that name that the revision creates and that exists, but is invalid."""
        return next(
            (
                change.object
                for step, change, _ in self.made()
                if step.revision == revision and bare(change.object) == name and self.is_invalid(change)
            ),
            None,
        )

    def is_invalid(self, change: Change) -> bool:
        """Return whether a change's index exists but is invalid, while the change creates it valid."""
        actual, valid = self.catalog.get(change.object), (change.after or {}).get("valid")
        of_an_index = change.object.kind.endswith("index") and valid is not None
        return of_an_index and actual is not None and actual.get("valid") != valid

    def made(self) -> Iterator[tuple[Observation, Change, Statement | None]]:
        """Yield what the revisions create, each with the statement that creates it."""
        for step in self.observed.values():
            for change in step.changes:
                if change.before is None and change.after is not None:
                    number = change.statement
                    yield step, change, step.statements[number] if number is not None else None


# --- failures ------------------------------------------------------------------------------------------------------


def _failures(upgrade: Upgrade, here: _Here) -> Iterator[Cause]:
    failing = [(revision, one) for revision, one in upgrade.failing if one.error]
    end = upgrade.failure.error if upgrade.failure is not None else ""
    for number, (revision, statement) in enumerate(failing):
        error = statement.error or ""
        follows = failing[number + 1][1].error or "" if number + 1 < len(failing) else end
        aborted = follows_another(follows)
        last = number == len(failing) - 1
        ends = last and revision == upgrade.failed and not aborted and statement.handler_line is None
        hidden = aborted and not ends
        of_rows = _is_of_rows(error, statement.sql)
        aborts = upgrade.transactional and (ends or not statement.in_autocommit)
        if follows_another(error) or (of_rows and not hidden) or _of_the_copy(error, upgrade.lacking):
            continue
        if not ends and not aborted and (aborts or statement.kind is StatementKind.QUERY):
            continue  # in a SAVEPOINT, so its failure was expected; or no change is missing
        fix = fix_of(error, statement.sql)
        known = here.other_name(revision, _named(error))
        if known is not None:
            error, fix = (
                f"{error}: in this database it is called {known}",
                f"drop it by its name in this database, {known}",
            )
        invalid = here.invalid_index(revision, _named(error))
        if invalid is not None:
            error, fix = f"{error}: it is invalid", _first(_drop(invalid))
        if hidden:
            fix = f"{fix}, or `with op.get_bind().begin_nested():` inside the try"
        yield Cause(
            revision=revision,
            path=statement.path,
            line=statement.line or 0,
            statement=first_words(statement.sql),
            error=error,
            swallowed=not ends,
            handler_line=statement.handler_line,
            fix=fix,
            aborts=aborts,
            without_rows=of_rows,
            steps=() if invalid is None else _drop(invalid),
        )


def too_long(steps: Sequence[Observation | Unobserved], limit: int | None, table: str, widen: str) -> tuple[Cause, ...]:
    """Return the first pending revision whose id does not fit the version column; every run ends at it.

    Args:
        steps: the pending revisions.
        limit: the column's length in characters; None if no limit is enforced.
        table: the version table.
        widen: the statement that widens the column.
    """
    found = next((step for step in steps if limit is not None and len(step.revision) > limit), None)
    if found is None:
        return ()
    observed = found if isinstance(found, Observation) else Observation(found.revision)
    return (
        Cause(
            revision=found.revision,
            path=observed.path,
            line=observed.line or 0,
            statement="",
            error=f"cannot be recorded: the id {found.revision} has {len(found.revision)} characters, but "
            f"{table}.version_num holds only {limit}",
            swallowed=False,
            handler_line=None,
            fix=f"widen it first: `{widen.replace('(128)', f'({max(128, len(found.revision))})')}`",
            code="revision-too-long",
        ),
    )


def _is_of_rows(error: str, sql: str) -> bool:
    """Return whether the live database may behave differently because of its rows."""
    return _OF_ROWS.search(error) is not None and not _OF_CONSTANTS.fullmatch(sql)


def _of_the_copy(error: str, lacking: Collection[str]) -> bool:
    """Return whether the live database may behave differently because of what the copy or its server lacks."""
    if _OF_THE_COPY.search(error):
        return True
    if not lacking or not _UNDEFINED.search(error):
        return False
    absent = {word.strip('"') for text in lacking for word in _WORD.findall(text)}
    names = [quoted.rpartition(".") for quoted in _QUOTED.findall(error)]
    return any(name in absent or schema in lacking for schema, _, name in names)


def _named(error: str) -> str:
    """Return the first name that the server's error mentions."""
    found = _QUOTED.search(error)
    return found[1].replace('""', '"') if found else ""


# --- what to do ----------------------------------------------------------------------------------------------------

_CREATING = "check before creating"
_FIXES: tuple[tuple[str, str, str], ...] = (
    (r"^type .* already exists", "", f"{_CREATING}: use checkfirst=True, and create_type=False in tables"),
    (r"^(relation|column|schema|extension|enum label|table|index|sequence) .* already exists", "",
     f"{_CREATING}, or IF NOT EXISTS"),
    (r"already exists|multiple primary keys", "", _CREATING),
    (r"does not exist", r"^\s*(DROP|ALTER .*\bDROP)\b", "check before dropping, or use IF EXISTS"),
    (r"^operator does not exist", r"^\s*ALTER\s+TABLE\b.*\bTYPE\b",
     ("an index, CHECK, default or view on that column does not fit its new type: drop it before and "
      "recreate it after")),
    (r"^operator does not exist", "", "its two sides have different types: cast one of them"),
    (r"does not exist", "", "find out what should have created it, and whether this is the right database"),
    (r"other objects depend on it|is used by|depends on", "", ("drop what depends on it first, and recreate "
                                                            "that after")),
    (r"cannot be cast automatically", "", "state how to convert its values, with postgresql_using"),
    (r"cannot run inside a transaction block|cannot be executed from a function", "",
     "run it in `with op.get_context().autocommit_block():`"),
    (r"unsafe use of new value", "",
     ("add the label in `with op.get_context().autocommit_block():`, because it can be used only after a "
     "commit")),
    (r"invalid input value for enum", "", "add the label first: ALTER TYPE ... ADD VALUE"),
    (r"must be owner|permission denied", "", ("run the upgrade as the owner, or as a role with that "
                                             "privilege")),
)  # fmt: skip
"""Patterns for the error and the statement, and the fix; the first match wins."""


def fix_of(error: str, sql: str) -> str:
    """Return the fix for a statement that failed with `error`, the server's message."""
    for says, does, fix in _FIXES:
        if re.search(says, error) and re.search(does, sql, re.IGNORECASE | re.DOTALL):
            return fix
    return "fix the statement"


def first_words(sql: str) -> str:
    """Return a statement on one line, shortened."""
    line = " ".join(sql.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


# --- silent problems -----------------------------------------------------------------------------------------------


def _silent(upgrade: Upgrade, here: _Here) -> Iterator[Cause]:
    """Yield objects that exist already in another form than the revision creates, and stay so without an error."""
    told = {(revision, _named(statement.error or "")) for revision, statement in upgrade.failing}
    for step, change, statement in here.made():
        actual = here.catalog.get(change.object)
        if actual is None or change.after is None or (step.revision, bare(change.object)) in told:
            continue
        cause = Cause(
            revision=step.revision,
            path=statement.path if statement is not None else step.path,
            line=(statement.line if statement is not None else step.line) or 0,
            statement=first_words(statement.sql) if statement is not None else "",
            error="",
            swallowed=False,
            handler_line=None,
            fix="",
            aborts=False,
            fails=False,
        )
        name = change.object.name
        lacks = [one for one in labels(change.after.get("labels", "")) if one not in labels(actual.get("labels", ""))]
        if change.object.kind == "type" and lacks:
            error = f"type {name} already exists without {_listed(lacks)}, and is left as it is"
            steps = tuple(f"ALTER TYPE {name} ADD VALUE {_literal(label)};" for label in lacks)
            yield replace(cause, error=error, fix=_first(steps), steps=steps)
        elif here.is_invalid(change):
            error = f"index {name} already exists but is invalid, and is left as it is"
            steps = _drop(change.object)
            yield replace(cause, error=error, fix=_first(steps), steps=steps)


def _unheard(upgrade: Upgrade) -> Iterator[Cause]:
    """Yield statements that succeeded, but whose failure would abort the transaction and be hidden."""
    if not upgrade.transactional or upgrade.failure is not None:
        return
    for revision, statement in upgrade.unheard:
        if statement.kind is not StatementKind.DATA and not _ASKS_ROWS.search(statement.sql):
            continue
        yield Cause(
            revision=revision,
            path=statement.path,
            line=statement.line or 0,
            statement=first_words(statement.sql),
            error="succeeds on a copy without rows. If it fails on the live rows, the except at line "
            f"{statement.handler_line} hides it without a SAVEPOINT, and the whole run is rolled back",
            swallowed=False,
            handler_line=statement.handler_line,
            fix="put `with op.get_bind().begin_nested():` inside the try",
            aborts=False,
            fails=False,
            without_rows=True,
            code="would-be-hidden",
        )


def _drop(index: CatalogObject) -> tuple[str, ...]:
    return (f"DROP INDEX CONCURRENTLY {index.name};",)


def _first(steps: Sequence[str]) -> str:
    return "first: " + " ".join(steps).rstrip(";")


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
