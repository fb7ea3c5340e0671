"""PostgreSQL statements that revert others, from the changes that those made on a copy.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from alembic_rescue.dialects.postgresql.remedies import quoted, remedy
from alembic_rescue.evidence.claims import Claim, Finding
from alembic_rescue.evidence.model import Presence
from alembic_rescue.evidence.names import bare, column_of, spoken
from alembic_rescue.evidence.observation import CatalogObject, Change
from alembic_rescue.evidence.positions import differing

_BY_NAME = frozenset(
    ["table", "index", "sequence", "type", "view", "materialized view", "schema", "extension", "function", "procedure"]
)
_HOLDS_ROWS = frozenset(["table", "table column", "sequence", "partitioned table"])
_ON_A_TABLE = frozenset(["trigger", "policy", "rule"])


def taken_back(changes: Sequence[Change]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the statements, in order; and what they do not revert."""
    made = {change.object for change in changes if change.before is None}
    statements, stays = [], []
    for change in reversed(changes):
        if _loses_values(change):
            stays.append(f"the values of {change.object.name}")
            continue
        if change.before is None and _goes_with_another(change, made):
            continue
        sql = _dropping(change.object) if change.before is None else _as_it_was(change)
        if sql is None:
            stays.append(f"{spoken(change.object)} {change.object.name}")
        else:
            statements.append(f"{sql};")
    # A dependent object was created after the one it depends on, but a catalog is not read in that order.
    return tuple(sorted(statements, key=_rank)), tuple(stays)


def _loses_values(change: Change) -> bool:
    """Whether no statement can restore the values: the object was dropped or has another type."""
    if change.before is None:
        return False
    retyped = change.after is not None and change.before.get("type") != change.after.get("type")
    return change.object.kind in _HOLDS_ROWS and (change.after is None or retyped)


def _rank(statement: str) -> int:
    beginnings = ("DROP TRIGGER", "DROP POLICY", "DROP RULE", "DROP MATERIALIZED", "DROP VIEW", "DROP INDEX", "ALTER")
    later = ("DROP TABLE", "DROP SEQUENCE", "DROP FUNCTION", "DROP PROCEDURE", "DROP TYPE", "DROP EXTENSION")
    order = (*beginnings, *later, "DROP SCHEMA")
    return next((number for number, words in enumerate(order) if statement.startswith(words)), len(order))


def _goes_with_another(change: Change, made: Collection[CatalogObject]) -> bool:
    names = {one.name for one in made}
    found, facts = change.object, change.after or {}
    in_column = column_of(found) in names or facts.get("owned by") in names
    of_constraint = any(
        one.kind == "table constraint" and found.kind.endswith("index") and bare(one) == bare(found) for one in made
    )
    return found.parent in names or in_column or of_constraint


def _dropping(found: CatalogObject) -> str | None:
    if found.kind in _BY_NAME:
        return f"DROP {found.kind.upper()} {found.name}"
    if found.kind in _ON_A_TABLE:
        return f"DROP {found.kind.upper()} {quoted(bare(found))} ON {found.parent}"
    if found.kind == "table column":
        return f"ALTER TABLE {found.parent} DROP COLUMN {quoted(bare(found))}"
    if found.kind == "table constraint":
        return f"ALTER TABLE {found.parent} DROP CONSTRAINT {quoted(bare(found))}"
    if found.kind == "default value":
        return f"ALTER TABLE {found.parent} ALTER COLUMN {quoted(bare(found))} DROP DEFAULT"
    return None


def _as_it_was(change: Change) -> str | None:
    """Return SQL that creates the object again as it was, or changes it back."""
    before, after = change.before or {}, change.after
    back = Change(change.object, after, before)
    facts = frozenset(differing(after or {}, before))
    claim = Claim(change.object, back, before, comes_or_goes=after is None, facts=facts)
    presence = Presence.ABSENT if after is None else Presence.DIFFERENT
    return remedy(Finding(claim, presence, after, tuple(sorted(facts))), {change.object: before})
