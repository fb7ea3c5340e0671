"""SQLite statements that revert others, from the changes that those made on a copy.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from alembic_rescue.dialects.sqlite.remedies import name_of, quoted, remedy
from alembic_rescue.evidence.claims import Claim, Finding
from alembic_rescue.evidence.model import Presence
from alembic_rescue.evidence.names import spoken
from alembic_rescue.evidence.observation import Change

_ORDER = ("DROP TRIGGER", "DROP VIEW", "DROP INDEX", "ALTER TABLE", "DROP TABLE")
"""Dependent objects are dropped first; objects are created again last."""
_BY_NAME = frozenset(["table", "virtual table", "index", "view", "trigger"])
_HOLDS_ROWS = frozenset(["table", "virtual table", "table column"])


def taken_back(changes: Sequence[Change]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the statements, in order; and what they do not revert."""
    made = {change.object.name for change in changes if change.before is None}
    gone = {change.object.name for change in changes if change.after is None}
    statements, stays = [], []
    for change in changes:
        found = change.object
        if _goes_with_its_table(change, made, gone):
            continue
        if change.after is None and found.kind in _HOLDS_ROWS:
            stays.append(f"the values of {found.name}")
        elif sql := _dropping(change) if change.before is None else _as_it_was(change):
            statements.append(f"{sql};")
        else:
            stays.append(f"{spoken(found)} {found.name}")
    return tuple(sorted(statements, key=_rank)), tuple(stays)


def _goes_with_its_table(change: Change, made: Collection[str], gone: Collection[str]) -> bool:
    return change.object.parent in (made if change.before is None else gone)


def _rank(statement: str) -> int:
    return next((number for number, words in enumerate(_ORDER) if statement.startswith(words)), len(_ORDER))


def _dropping(change: Change) -> str | None:
    found = change.object
    if found.kind in _BY_NAME:
        return f"DROP {found.kind.removeprefix('virtual ').upper()} {name_of(found)}"
    if found.kind == "table column":
        return f"ALTER TABLE {quoted(found.parent)} DROP COLUMN {name_of(found)}"
    return None


def _as_it_was(change: Change) -> str | None:
    """Return the SQL that creates a dropped object again; a changed object is not reverted."""
    if change.before is None or change.after is not None:
        return None
    found, facts = change.object, change.before
    claim = Claim(found, Change(found, None, facts), facts, comes_or_goes=True, facts=frozenset(facts))
    return remedy(Finding(claim, Presence.ABSENT, None, ()), {found: facts})
