"""The SQL that restores what a revision would have left, in the catalog's own words.  Pure.

It never removes or reverts what a later revision, the application or a person made: an object is dropped or replaced
only if the revision does so itself, and only if the object is exactly as it was before the revision.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Optional

from alembic_rescue.evidence.claims import Claim, Finding
from alembic_rescue.evidence.live import Live, labels, substance
from alembic_rescue.evidence.model import Presence
from alembic_rescue.evidence.names import bare, parts
from alembic_rescue.evidence.observation import (
    Catalog,
    CatalogObject,
    Change,
    Facts,
    Observation,
    Statement,
    StatementKind,
)
from alembic_rescue.evidence.positions import Positions, differing

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
_SETS = re.compile(
    r"\bALL\s+\w+\s+IN\s+SCHEMA\b|\bALTER\s+PUBLICATION\b.*\bSET\s|\b(?:DROP|REASSIGN)\s+OWNED\b",
    re.IGNORECASE | re.DOTALL,
)
"""Statements about a whole set of objects, whatever the set contains."""
_DROPS = re.compile(r"\bDROP\b", re.IGNORECASE)
_REPLACES = re.compile(r"\bOR\s+REPLACE\b", re.IGNORECASE)
_MAKES = re.compile(r"^\s*CREATE\s+(?!OR\s+REPLACE\b)|\bADD\s+CONSTRAINT\b", re.IGNORECASE | re.MULTILINE)
_WHOLE = frozenset(["policy", "rule", "sequence", "trigger", "function", "procedure", "view", "materialized view"])
"""Kinds that one statement creates.  Of other kinds, such as a table, each revision creates its own part."""
_WITHOUT_SCHEMA = frozenset(
    ["schema", "extension", "role", "role membership", "publication", "settings", "event trigger"]
)
Remedy = Callable[[Finding, Catalog, Optional[str]], Optional[str]]
"""Makes SQL from the facts of what is missing and of what the revision leaves, or uses the revision's own SQL."""


def sql_for(
    finding: Finding, step: Observation, positions: Positions, live: Live, span: tuple[int, int], remedy: Remedy
) -> str | None:
    """Return the SQL to run for a claim that does not hold; None if there is no safe SQL.

    Args:
        span: the revision's own position, and the position that it is judged by.
        remedy: decides.  It gets the revision's own statements if everything that they change is as it was before them.
    """
    claim = finding.claim
    found = claim.object
    if finding.presence is Presence.UNVERIFIABLE or found in live.known_as or found in live.impostors:
        return None
    own = _own_statements(claim, step, positions, live, span)
    if found == claim.change.object:  # later changes are up to the later revisions
        made = {c.object: c.after for c in step.changes if c.after is not None}
        if finding.actual is None and _is_other_since(claim):
            made, own = {**made, found: claim.expected or {}}, None
        return remedy(finding, made, own)
    return remedy(finding, positions.catalog(span[1]), own)


def in_order(findings: Sequence[Finding], step: Observation) -> list[Finding]:
    """Return the findings in the order in which the revision made them, if known; otherwise dependencies first."""
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
    """Return the revision's own statements; nothing is made from facts."""
    return own


def _own_statements(
    claim: Claim, step: Observation, positions: Positions, live: Live, span: tuple[int, int]
) -> str | None:
    """Return the revision's own statements, if all that they change is as it was before them on the live database.

    None if they would do more: touch what someone else made, or what a later revision reverted; or if they would act
    elsewhere, or need other statements of the revision first.
    """
    if claim.change.before is not None and len(_alterations(claim, step, 0)) > 1:
        return None  # each statement makes a part of it
    mine = [c for c in step.changes if c.object == claim.change.object or _comes_along(c, claim)]
    numbers = {c.statement for c in mine}
    if None in numbers or claim.object != claim.change.object:
        return None
    by_them = [c for c in step.changes if c.statement in numbers]
    sent = [step.statements[number] for number in sorted(n for n in numbers if n is not None)]
    if any(s.kind is not StatementKind.CATALOG or s.error is not None for s in sent):
        return None
    text = "\n".join(one.sql for one in sent)
    if not all(_is_as_before(c, live) for c in by_them) or _reaches_further(text, by_them, live):
        return None
    if any(_is_taken_back(c, positions, *span) for c in by_them):
        return None
    if _MAKES.search(text) and any(c.before is not None and c.after is not None for c in by_them):
        return None  # another statement dropped the previous one
    if _is_elsewhere(claim.object, text, step):
        return None
    sent += _alterations(claim, step, max(n for n in numbers if n is not None) + 1)
    if not all(one.runnable for one in sent):
        return None
    return ";\n".join(statement.sql.strip().rstrip(";") for statement in sent)


def _is_taken_back(change: Change, positions: Positions, number: int, reference: int) -> bool:
    if change.after is None:
        return positions.at(change.object, reference) is not None
    if change.before is not None:
        since = positions.at(change.object, reference) or change.after
        return any(since.get(fact) != change.after.get(fact) for fact in differing(change.before, change.after))
    return positions.is_dropped(change.object, number + 1, reference)


def _reaches_further(text: str, changes: Sequence[Change], live: Live) -> bool:
    """Return whether the SQL may change more than the `changes` that it made on the scratch database."""
    if _SETS.search(text):
        return True
    gone = [c.object for c in changes if c.after is None] if _DROPS.search(text) else []
    if gone and re.search(r"\bCASCADE\b", text, re.IGNORECASE):
        return True
    if any(live.has_more({o.name, o.parent if o.kind == "table column" else o.name}) for o in gone):
        return True  # an index goes with its column
    replaced = [c for c in changes if c.before is not None and c.after is not None]
    return _REPLACES.search(text) is not None and any(_is_other_than(c.before or {}, c.object, live) for c in replaced)


def _is_other_than(before: Facts, found: CatalogObject, live: Live) -> bool:
    """Return whether the object has something that the revision does not set, and a replacement would reset."""
    actual = live.facts(found) or {}
    facts = substance(before).keys() | substance(actual).keys()
    return any(live.same(found, fact, before, actual) is not True for fact in facts)


def _is_elsewhere(found: CatalogObject, text: str, step: Observation) -> bool:
    """Return whether the SQL, run alone, would affect another schema, as it depends on the session's search path."""
    if any(one.kind is StatementKind.SESSION and "search_path" in one.sql for one in step.statements):
        return True
    schema = parts(found.parent or found.name)[:-1] if found.kind not in _WITHOUT_SCHEMA else []
    return bool(schema) and schema[0] != "public" and schema[0] not in text


def _alterations(claim: Claim, step: Observation, first: int) -> list[Statement]:
    """Return the revision's later changes to a column from that statement on, such as SET NOT NULL after a backfill."""
    if claim.object.kind != "table column":
        return []
    table, column = re.escape(parts(claim.object.parent)[-1]), re.escape(bare(claim.object))
    alters = re.compile(
        rf'\bTABLE\b.*(?<!\w){table}"?\s+ALTER\s+(?:COLUMN\s+)?"?{column}(?!\w)', re.IGNORECASE | re.DOTALL
    )
    later = (one for one in step.statements[first:] if one.kind is StatementKind.CATALOG and one.error is None)
    return [one for one in later if alters.search(one.sql)]


def _is_other_since(claim: Claim) -> bool:
    """Return whether a later revision changed it: a policy's roles, or the name of a column that it uses."""
    made, expected = claim.change.after or {}, claim.expected or {}
    if claim.object.kind in _WHOLE:
        return bool(expected) and substance(made) != substance(expected)
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
    """Return the sort order of a constraint: keys before what refers to them."""
    return 0 if definition.startswith(("PRIMARY", "UNIQUE")) else 2 if definition.startswith("FOREIGN") else 1


def position_of(found: CatalogObject, catalog: Catalog) -> int:
    """Return the position of a label in its enum."""
    known = labels_of(found, catalog)
    return known.index(bare(found)) if bare(found) in known else 0


def labels_of(found: CatalogObject, catalog: Catalog) -> list[str]:
    """Return all labels of a label's enum."""
    return labels(catalog.get(CatalogObject("type", found.parent), {}).get("labels", ""))
