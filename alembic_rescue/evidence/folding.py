"""Findings for people: a table, present or absent, represents everything that came with it.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from alembic_rescue.evidence.claims import Finding
from alembic_rescue.evidence.model import Presence
from alembic_rescue.evidence.names import bare, column_of
from alembic_rescue.evidence.observation import CatalogObject

_COMES_ALONG = ("column", "constraint", "default value", "index", "sequence", "enum label")
"""Kinds that the statement that creates a table, a view or a type creates along with it."""


def folded(findings: Sequence[Finding], telling: Collection[CatalogObject] = ()) -> list[Finding]:
    """Return the findings that add information.

    An object that a revision creates, drops or renames together with its parent is reported only if its state differs
    from the parent's.  The same applies to a constraint's index, a column's default and sequence, and an enum's list of
    labels, next to the labels themselves.  An object created by a separate statement is reported, too, unless its
    parent is missing: so a revision's list is the same whether such an object exists or not.

    Args:
        telling: objects with more to report, which no table represents.
    """
    by_name: dict[str, list[Finding]] = {}
    by_parent: dict[str, list[Finding]] = {}
    constraints: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        found = finding.claim.object
        by_name.setdefault(found.name, []).append(finding)
        by_parent.setdefault(found.parent, []).append(finding)
        if found.kind.endswith("constraint"):
            constraints[found.parent, bare(found)] = finding

    def stands_for(finding: Finding) -> Finding | None:
        found = finding.claim.object
        above = [f for name in names_above(finding) for f in by_name.get(name, ()) if _alike(f, finding)]
        if found in telling:
            return None
        if not found.kind.endswith(_COMES_ALONG):
            above = []
        if not above and found.kind == "index":
            constraint = constraints.get((found.parent, bare(found)))
            above = [constraint] if constraint is not None and _alike(constraint, finding) else []
        return above[0] if above else None

    def only_counts_labels(finding: Finding) -> bool:
        told = [f for f in by_parent.get(finding.claim.object.name, ()) if f.claim.object.kind == "enum label"]
        only_labels = not finding.claim.comes_or_goes and finding.claim.facts == {"labels"}
        return only_labels and bool(told) and finding.met == all(label.met for label in told)

    return [f for f in findings if stands_for(f) is None and not only_counts_labels(f)]


def names_above(finding: Finding) -> list[str]:
    """Return the names of the objects that it may come with: its column, its parent, its owner."""
    facts = finding.claim.expected or finding.claim.change.before or {}
    owner = facts.get("owned by", "")
    names = (column_of(finding.claim.object), finding.claim.object.parent, owner, owner.rpartition(".")[0])
    return [name for name in names if name]


def _alike(above: Finding, below: Finding) -> bool:
    """Return whether both come or go in the revision, and both exist or neither; the one above may differ in facts."""
    same_way = (above.claim.expected is None) == (below.claim.expected is None)
    if below.claim.object.kind.endswith("view column"):  # the view's definition covers its columns
        return above.met == below.met
    statements = {above.claim.change.statement, below.claim.change.statement} - {None}
    if len(statements) > 1 and below.claim.expected is not None and below.actual is not None:
        return False
    same = above.presence is below.presence or (above.presence is Presence.DIFFERENT and below.met)
    return _comes_or_goes(above) and _comes_or_goes(below) and same_way and same


def _comes_or_goes(finding: Finding) -> bool:
    return finding.claim.comes_or_goes or finding.claim.former is not None
