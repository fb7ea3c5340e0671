"""What may be missing because of a later revision that ran on the database, but could not be observed.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from alembic_rescue.evidence.model import ObjectEvidence, Presence, RevisionEvidence, Verdict
from alembic_rescue.evidence.names import parts

_SCHEMA_AND_NAME = 2
WORD = re.compile(r"\w+")


def in_doubt(
    revisions: Sequence[RevisionEvidence], unseen: Mapping[str, AbstractSet[str]]
) -> tuple[RevisionEvidence, ...]:
    """Return the evidence with missing objects marked unverifiable if a later, unobserved revision's file names them.

    Args:
        revisions: in the order in which they run.
        unseen: for each unobserved revision that counts as applied, or is shown to be, the words in its file.
    """
    found: list[RevisionEvidence] = []
    words: dict[str, str] = {}
    for evidence in reversed(revisions):
        found.append(_doubted(evidence, words) if words else evidence)
        words.update(dict.fromkeys(unseen.get(evidence.revision, ()), evidence.revision))
    return tuple(reversed(found))


def _doubted(evidence: RevisionEvidence, words: Mapping[str, str]) -> RevisionEvidence:
    missing = {id(one): words[name] for one in evidence.missing for name in [_owner(one)] if name in words}
    if not missing:
        return evidence
    objects = tuple(
        replace(
            one,
            presence=Presence.UNVERIFIABLE,
            sql=None,
            detail=f"{one.detail or 'it still exists'}; {missing[id(one)]} refers to it and could not be observed",
        )
        if id(one) in missing
        else one
        for one in evidence.objects
    )
    doubted = replace(evidence, objects=objects)
    return doubted if doubted.missing else replace(doubted, verdict=Verdict.UNVERIFIABLE)


def _owner(one: ObjectEvidence) -> str:
    """Return the bare name of an object's table, or its own."""
    table = one.name.partition(" on ")[2]
    own = parts(table or one.name)
    return own[-1] if table or len(own) <= _SCHEMA_AND_NAME else own[-2]
