"""What the catalog cannot show: changed rows, lines that did not run, refused actions.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from alembic_rescue.evidence.live import Live
from alembic_rescue.evidence.model import ObjectEvidence, Presence
from alembic_rescue.evidence.names import bare, parts
from alembic_rescue.evidence.observation import (
    CatalogObject,
    LeftOut,
    Observation,
    Statement,
    StatementKind,
    Unobserved,
)
from alembic_rescue.evidence.positions import Positions, Step

_CHANGES_ROWS = "the catalog does not show whether it ran"
_MAY_CHANGE_ROWS = "not run on the empty scratch database, so the effects are unknown"
OF_ROWS = frozenset([_CHANGES_ROWS, _MAY_CHANGE_ROWS])
"""The details of statements that change rows or the like, but nothing in the catalog."""
_SHOWN = 60
"""The maximum length of a statement that is shown as a name, in characters."""
_EXISTENCE = re.compile(r"\b(?:already exists|does not exist|no such|duplicate|unknown|can't drop)\b", re.IGNORECASE)
_MAKES = re.compile(r"\b(?:create|add)(?:_\w+)?\b", re.IGNORECASE)
_ADDS_COLUMN = re.compile(r"column|\badd\s+(?!constraint\b)")
_WORD = re.compile(r'"(?:[^"]|"")*"|[A-Za-z_][\w$]*')
_SAYS_NOTHING = frozenset(["foreignkey", "primary", "unique", "check", "name", "type_", "public"])
"""Constants in Alembic's operations that name no object."""


def data(step: Observation) -> Iterator[ObjectEvidence]:
    """Yield each statement that changed rows or the like, and each line that could have."""
    for statement in step.statements:
        if statement.kind is StatementKind.DATA:
            yield _told(statement.sql, _CHANGES_ROWS, statement)
    for line in step.left_out:
        if line.sends is StatementKind.DATA:
            yield _told(line.source, _MAY_CHANGE_ROWS, line)


def skipped(step: Observation, positions: Positions, reference: int, live: Live) -> Iterator[ObjectEvidence]:
    """Yield each line or failed statement that would have changed the catalog, unless both databases explain it."""
    for line in _would_change(step):
        reason = _why_in_doubt(line, positions, reference, live)
        if reason is not None:
            yield _told(line.source, reason, line)
    for statement in step.statements:
        if statement.kind is StatementKind.CATALOG and statement.error and not _EXISTENCE.search(statement.error):
            yield _told(statement.sql, f"it failed on the scratch database: {statement.error}", statement)


def ran_otherwise(step: Observation, positions: Positions, reference: int, live: Live) -> bool:
    """Return whether an object exists that only a line that did not run on the scratch database creates.

    The line's guard (on the server's version or the like) took the other branch on this database.
    """
    return any(
        _MAKES.search(line.source) and _is_made_by(found, line.source.lower())
        for line in step.left_out
        if line.sends is StatementKind.CATALOG
        for found in _here_alone(*_on_both(_names(line), positions, reference, live))
    )


def statements(step: Observation) -> Iterator[ObjectEvidence]:
    """Yield the statements that would change the catalog, for a revision that changed nothing."""
    for statement in step.statements:
        if statement.kind is StatementKind.CATALOG:
            why = f"it failed on the scratch database: {statement.error}" if statement.error else "it changed nothing"
            yield _told(statement.sql, f"{why}, so that the catalog does not show whether it ran", statement)
    for line in step.left_out:
        if line.sends is StatementKind.CATALOG:
            yield _told(line.source, "not run on the scratch database, and nothing else was changed", line)


def refused(step: Observation) -> Iterator[ObjectEvidence]:
    """Yield what reached outside the scratch database, and why the revision could not run to its end."""
    for outside in step.outside:
        where = f"{outside.path}, line {outside.line}" if outside.line else outside.path
        yield _unverifiable(outside.what, f"reaches outside: {where}", outside.path or step.path, outside.line)
    if step.failure is not None:
        told = step.failure.statement or step.revision
        path, line = step.failure.path or step.path, step.failure.line or step.line
        yield _unverifiable(told, f"it fails on the scratch database: {step.failure.error}", path, line)


def unobserved(step: Unobserved) -> ObjectEvidence:
    """Return the one line that represents a revision that was not observed."""
    told = _unverifiable(step.revision, f"{step.reason}. {step.help}" if step.help else step.reason, "", None)
    return replace(told, sql=step.sql or None)


def ambiguous(step: Observation, cancelled_by: Sequence[str]) -> ObjectEvidence:
    """Return the one line that represents a revision that makes no visible difference to the database."""
    why = f", because {', '.join(cancelled_by)} reverts it" if cancelled_by else ""
    return _unverifiable(step.revision, f"the database looks the same whether or not it ran{why}", step.path, step.line)


def mentioned(steps: Sequence[Step]) -> frozenset[str]:
    """Return the bare names in lines that did not run, to be read in addition to the touched objects."""
    lines = [line for step in steps if isinstance(step, Observation) for line in _would_change(step)]
    return frozenset(name for line in lines for name in _names(line))


def _would_change(step: Observation) -> Iterator[LeftOut]:
    for line in step.left_out:
        if line.sends is StatementKind.CATALOG:
            yield line
    for statement in step.statements:
        if statement.kind is StatementKind.CATALOG and _EXISTENCE.search(statement.error or ""):
            words = tuple(_WORD.findall(statement.sql))
            yield LeftOut(statement.path, statement.line or 0, statement.sql, StatementKind.CATALOG, words)


def _names(line: LeftOut) -> set[str]:
    named = {part for name in line.names for part in (*parts(name), name, *_words_of_sql(name))}
    return {name for name in named if name.lower() not in _SAYS_NOTHING}


def _words_of_sql(text: str) -> list[str]:
    """Return the names in a constant that is a statement; none if it is a name itself."""
    words = [word.strip('"') for word in _WORD.findall(text)]
    return words if len(words) > 1 else []


def _why_in_doubt(line: LeftOut, positions: Positions, reference: int, live: Live) -> str | None:
    """Return why it may have run; None if what it creates exists on both sides, or what it changes on neither."""
    names = _names(line)
    ours, theirs = _on_both(names, positions, reference, live)
    more = _here_alone(ours, theirs)
    if more:
        found = more[0]
        return f"not run on the scratch database, which has no {found.kind} {found.name}; this database has it"
    if _MAKES.search(line.source):
        explained = any(_is_made_by(o, line.source.lower()) for o in ours)
    else:
        explained = bool(names - {bare(o) for o in ours | theirs})
    return None if explained else "not run on the scratch database; whether it runs on this one is unknown"


def _on_both(
    names: set[str], positions: Positions, reference: int, live: Live
) -> tuple[set[CatalogObject], set[CatalogObject]]:
    """Return the objects with these names on the live database, and on the scratch database at that position."""
    touched = _named(positions.by_name, names)
    theirs = {o for o in touched if positions.at(o, reference) is not None}
    return _named(live.by_name, names), theirs | _named(live.untouched_by_name, names)


def _here_alone(ours: set[CatalogObject], theirs: set[CatalogObject]) -> list[CatalogObject]:
    """Return what only the live database has, without the parts of those objects."""
    more = ours - theirs
    return sorted(o for o in more if o.parent not in {other.name for other in more})


def _is_made_by(found: CatalogObject, source: str) -> bool:
    """Return whether a creating line may have made it, and not its table or a column of its index instead."""
    if found.kind in {"table", "schema"}:
        return "table" in source and not found.parent
    if found.kind.endswith("column") or found.kind == "default value":
        return _ADDS_COLUMN.search(source) is not None
    return True


def _named(by_name: Mapping[str, list[CatalogObject]], names: set[str]) -> set[CatalogObject]:
    """Return the objects with those bare names; columns only if their table is among the names, too."""
    return {
        o
        for name in names
        for o in by_name.get(name, ())
        if not o.kind.endswith("column") or parts(o.parent)[-1] in names
    }


def _told(shown: str, detail: str, where: Statement | LeftOut) -> ObjectEvidence:
    return _unverifiable(shown, detail, where.path, where.line or None)


def _unverifiable(shown: str, detail: str, path: str, line: int | None) -> ObjectEvidence:
    flat = " ".join(shown.split())
    name = flat if len(flat) <= _SHOWN else f"{flat[:_SHOWN].rstrip()} ..."
    return ObjectEvidence("statement", name, "present", Presence.UNVERIFIABLE, detail, path, line, None)
