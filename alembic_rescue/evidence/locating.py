"""Where a schema really is, whatever its version table says.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from alembic_rescue.evidence.model import RevisionEvidence, Verdict
from alembic_rescue.model import Located

_ABSENT = frozenset([Verdict.NOT_APPLIED, Verdict.PARTIAL])
"""Verdicts that mean that part of the revision is known to be missing."""


def locate(
    every: Sequence[RevisionEvidence], follows: Mapping[str, Collection[str]], vouched: Collection[str] = ()
) -> Located:
    """Return the revisions that the schema is at: on each branch, the furthest one below which nothing is missing.

    Args:
        every: the evidence for all revisions, each after those that it follows.
        follows: the revisions that each one directly follows or depends on.
        vouched: those that cannot be verified, but that a person says have run.
    """
    verdicts = {evidence.revision: evidence.verdict for evidence in every}
    lacking: set[str] = set()  # it, or a revision below it, lacks something
    for revision, verdict in verdicts.items():
        if verdict in _ABSENT or not lacking.isdisjoint(follows.get(revision, ())):
            lacking.add(revision)
    at: list[str] = []
    below: set[str] = set()
    there = {evidence.revision for evidence in every if evidence.is_there}
    there |= {revision for revision in vouched if verdicts.get(revision) is Verdict.UNVERIFIABLE}
    for revision in reversed(verdicts):
        if revision not in below:
            if revision not in there or revision in lacking:
                continue
            at.append(revision)
            below.add(revision)
        below.update(follows.get(revision, ()))
    return Located(
        revisions=tuple(sorted(at)),
        unproved=tuple(r for r in verdicts if r in below and verdicts[r] is Verdict.UNVERIFIABLE),
        following=tuple(r for r in verdicts if r not in below),
    )


def missing(applied: Sequence[RevisionEvidence]) -> tuple[RevisionEvidence, ...]:
    """Return the revisions that count as applied, but lack something."""
    return tuple(evidence for evidence in applied if evidence.verdict in _ABSENT)
