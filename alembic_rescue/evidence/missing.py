"""The SQL that makes so what a revision would have left, from the catalog's own words.  Pure.

Nothing is offered that takes away or turns back what a later revision, the application or a person made: an object is
dropped or replaced only where the revision does so itself, and where what is there is exactly what stood before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Optional

from alembic_rescue.evidence.claims import Claim, Finding
from alembic_rescue.evidence.live import Live, labels
from alembic_rescue.evidence.model import Presence
from alembic_rescue.evidence.names import bare, parts
from alembic_rescue.evidence.observation import (
    Catalog,
    CatalogObject,
    Change,
    Observation,
    Statement,
    StatementKind,
)
from alembic_rescue.evidence.positions import Positions

_FIRST = (
    "schema",
    "extension",
    "type",
    "enum label",
    "sequence",
    "table",
    "table column",
    "default value",
    "function",
    "procedure",
    "table constraint",
    "index",
    "view",
    "materialized view",
)
Remedy = Callable[[Finding, Catalog, Optional[str]], Optional[str]]
"""Makes SQL from the facts of what is missing and of what the revision leaves, or takes the revision's own."""


def sql_for(
    finding: Finding, step: Observation, positions: Positions, live: Live, reference: int, remedy: Remedy
) -> str | None:
    """What to run for a claim that does not hold; None where nothing can be offered.

    Args:
        reference: the position by which the revision is judged.
        remedy: decides.  It is given the revision's own statements, where all that they change is as before them.
    """
    claim = finding.claim
    found = claim.object
    if finding.presence is Presence.UNVERIFIABLE or found in live.known_as or found in live.impostors:
        return None
    own = _own_statements(claim, step, live)
    if found == claim.change.object:  # what later revisions did to it, they answer for
        made = {c.object: c.after for c in step.changes if c.after is not None}
        if finding.actual is None and _is_spelled_otherwise(claim):  # a column that it names is called otherwise since
            made, own = {**made, found: claim.expected or {}}, None
        return remedy(finding, made, own)
    return remedy(finding, positions.catalog(reference), own)


def in_order(findings: Sequence[Finding], step: Observation) -> list[Finding]:
    """As the revision made them, as far as that is known; else what others build upon first."""
    statements = [finding.claim.change.statement for finding in findings]
    known = None not in statements
    made = {c.object: c.after for c in step.changes if c.after is not None}

    def key(finding: Finding) -> tuple[int, int, int]:
        found, change = finding.claim.object, finding.claim.change
        facts = made.get(found, {})
        within = order_of(facts.get("definition", ""))
        if found.kind == "enum label":
            within = position_of(found, made)
        rank = _FIRST.index(found.kind) if found.kind in _FIRST else len(_FIRST)
        return (change.statement if known and change.statement is not None else 0, rank, within)

    return sorted(findings, key=key)


def only_own(_finding: Finding, _catalog: Catalog, own: str | None = None) -> str | None:
    """The revision's own statements; nothing is made from facts."""
    return own


def _own_statements(claim: Claim, step: Observation, live: Live) -> str | None:
    """The revision's own statements, where the live database is, in all that they change, as it was before them."""
    mine = [c for c in step.changes if c.object == claim.change.object or _comes_along(c, claim)]
    numbers = {c.statement for c in mine}
    if None in numbers or claim.object != claim.change.object:
        return None
    by_them = [c for c in step.changes if c.statement in numbers]
    sent = [step.statements[number] for number in sorted(n for n in numbers if n is not None)]
    if any(s.kind is not StatementKind.CATALOG or s.error is not None for s in sent):
        return None
    if not all(_is_as_before(c, live) for c in by_them):
        return None
    sent += _later_ones(claim, step, max(n for n in numbers if n is not None))
    return ";\n".join(statement.sql.strip().rstrip(";") for statement in sent)


def _later_ones(claim: Claim, step: Observation, number: int) -> list[Statement]:
    """What the revision does to a column after it has added it, such as SET NOT NULL once it is filled."""
    if claim.object.kind != "table column":
        return []
    table, column = re.escape(parts(claim.object.parent)[-1]), re.escape(bare(claim.object))
    alters = re.compile(
        rf'\bTABLE\b.*(?<!\w){table}"?\s+ALTER\s+(?:COLUMN\s+)?"?{column}(?!\w)', re.IGNORECASE | re.DOTALL
    )
    later = (one for one in step.statements[number + 1 :] if one.kind is StatementKind.CATALOG and one.error is None)
    return [one for one in later if alters.search(one.sql)]


def _is_spelled_otherwise(claim: Claim) -> bool:
    made, expected = claim.change.after or {}, claim.expected or {}
    return "definition" in made and "definition" in expected and made["definition"] != expected["definition"]


def _comes_along(change: Change, claim: Claim) -> bool:
    return change.object.parent == claim.change.object.name and claim.change.before is None and change.before is None


def _is_as_before(change: Change, live: Live) -> bool:
    actual = live.facts(change.object)
    if change.before is None or actual is None:
        return change.before is None and actual is None and change.object not in live.impostors
    changed = {*change.before, *(change.after or {})} if change.after is not None else set(change.before)
    counted = {f for f in changed if change.after is None or change.before.get(f) != change.after.get(f)}
    return all(live.same(change.object, fact, change.before, actual) for fact in counted)


def order_of(definition: str) -> int:
    """Keys before what refers to them."""
    return 0 if definition.startswith(("PRIMARY", "UNIQUE")) else 2 if definition.startswith("FOREIGN") else 1


def position_of(found: CatalogObject, catalog: Catalog) -> int:
    """Of a label among those of its enum."""
    known = labels_of(found, catalog)
    return known.index(bare(found)) if bare(found) in known else 0


def labels_of(found: CatalogObject, catalog: Catalog) -> list[str]:
    """All labels of the enum of one."""
    return labels(catalog.get(CatalogObject("type", found.parent), {}).get("labels", ""))
