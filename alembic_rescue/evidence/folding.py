"""Findings for people: a table that is there, or is not, stands for what came with it.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from alembic_rescue.evidence.claims import Finding
from alembic_rescue.evidence.names import bare, column_of


def folded(findings: Sequence[Finding]) -> list[Finding]:
    """Those that say something of their own.

    An object that a revision makes, takes away or renames together with what it belongs to is told only where it is
    not as that is.  So is the index of a constraint, the default and the sequence of a column, and an enum's list of
    labels beside the labels themselves.
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
        facts = finding.claim.expected or finding.claim.change.before or {}
        names = [column_of(found), found.parent, facts.get("owned by"), facts.get("owned by", "").rpartition(".")[0]]
        above = [f for name in names if name for f in by_name.get(name, ()) if _alike(f, finding)]
        if not above and found.kind == "index":
            constraint = constraints.get((found.parent, bare(found)))
            above = [constraint] if constraint is not None and _alike(constraint, finding) else []
        return above[0] if above else None

    def only_counts_labels(finding: Finding) -> bool:
        told = [f for f in by_parent.get(finding.claim.object.name, ()) if f.claim.object.kind == "enum label"]
        only_labels = not finding.claim.comes_or_goes and finding.claim.facts == {"labels"}
        return only_labels and bool(told) and finding.met == all(label.met for label in told)

    return [f for f in findings if stands_for(f) is None and not only_counts_labels(f)]


def _alike(above: Finding, below: Finding) -> bool:
    """Both come or both go in the revision, and both are there or both are not."""
    both_come_or_go = above.claim.comes_or_goes and below.claim.comes_or_goes
    same_way = (above.claim.expected is None) == (below.claim.expected is None)
    return both_come_or_go and same_way and above.presence is below.presence
