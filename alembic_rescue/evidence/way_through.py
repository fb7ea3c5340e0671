"""A way forward where later objects exist already, as when ``create_all`` ran before the migrations.  Pure.

Each step can be run as printed and loses nothing: a stamp is refused unless everything exists, an upgrade fails on an
object that is in its way, and a person drops objects by hand, after a check.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from alembic_rescue.evidence.model import Cause, RevisionEvidence, Verdict
from alembic_rescue.evidence.names import bare
from alembic_rescue.evidence.observation import Catalog, CatalogObject, Observation, Unobserved

_STAMP, _UPGRADE, _LOOK = "alembic-rescue stamp {}", "alembic upgrade {}", "alembic-rescue diagnose"
_LEGS = {Verdict.APPLIED: _STAMP, Verdict.NOT_APPLIED: _UPGRADE}


def legs(revisions: Sequence[RevisionEvidence], upgrade: str) -> tuple[str, ...]:
    """Return the commands that lead through these pending revisions, in order, as far as can be determined.

    Args:
        upgrade: the command that upgrades to the latest revisions.
    """
    before = _LOOK
    ways = []
    for one in revisions:
        before = before if one.verdict is Verdict.EMPTY else _LEGS.get(one.verdict, _LOOK)
        ways.append((before, one.revision))
    found = []
    for way, group in groupby(ways, lambda leg: leg[0]):
        found.append(way.format([revision for _, revision in group][-1]))
        if way == _LOOK:
            return tuple(found)
    if ways and ways[-1][0] == _UPGRADE:
        found[-1] = upgrade
    return tuple(found)


def both_there(steps: Sequence[Observation | Unobserved], live: Catalog) -> Iterator[Cause]:
    """Yield a cause for each pending rename whose new name is taken while the old one still exists.

    Args:
        steps: the pending revisions.
        live: what the live database holds of the objects that they touch.
    """
    touched: set[CatalogObject] = set()
    for step in (one for one in steps if isinstance(one, Observation)):
        for old, new in step.renames:
            if new in step.made and new not in touched and old in live and new in live and _stands_alone(old, new):
                yield _cause(step, old, new)
        touched.update(change.object for change in step.changes)


def _stands_alone(old: CatalogObject, new: CatalogObject) -> bool:
    """Return whether it is a table, or a column whose table keeps its name."""
    return old.kind == "table" or (old.kind == "table column" and old.parent == new.parent)


def _cause(step: Observation, old: CatalogObject, new: CatalogObject) -> Cause:
    number = next((change.statement for change in step.changes if change.object == new), None)
    sent = step.statements[number] if number is not None else None
    look, drop, what = _by_hand(new)
    return Cause(
        revision=step.revision,
        path=sent.path if sent is not None else step.path,
        line=(sent.line if sent is not None else step.line) or 0,
        statement="",
        error=f"renames {old.name} to {new.name}, but both exist: the new one was created before its "
        "migration ran, as create_all does",
        swallowed=False,
        handler_line=None,
        fix=f"check that {new.name} has {what}, then drop it by hand; the original data is in {old.name}. "
        "If it has some, move them there first",
        code="both-there",
        steps=(f"{look};  -- 0? Then it holds {what}", f"{drop};  -- only then"),
    )


def _by_hand(new: CatalogObject) -> tuple[str, str, str]:
    """Return the query that counts the contents, the DROP, and what the query must not find, for a person to run."""
    if new.kind == "table":
        return f"SELECT count(*) FROM {new.name}", f"DROP TABLE {new.name}", "no rows"  # noqa: S608
    column = new.name.removeprefix(f"{new.parent}.") if new.parent else bare(new)
    return (
        f"SELECT count(*) FROM {new.parent} WHERE {column} IS NOT NULL",  # noqa: S608
        f"ALTER TABLE {new.parent} DROP COLUMN {column}",
        "no values",
    )
