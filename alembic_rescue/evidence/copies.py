"""Combine what was observed on copies of the live schema into a verdict for each revision.  Pure.

The two ways (upgrade; downgrade, then upgrade) are judged independently against the copy's initial state, and must not
contradict each other: a revision that is its own inverse (it swaps two tables) looks applied one way and not applied
the other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from alembic_rescue.evidence.judging import judge
from alembic_rescue.evidence.missing import Remedy, only_own
from alembic_rescue.evidence.model import ObjectEvidence, Presence, RevisionEvidence, Verdict
from alembic_rescue.evidence.observation import Observation, Reading
from alembic_rescue.evidence.positions import Step

_LACKING = frozenset([Verdict.PARTIAL, Verdict.NOT_APPLIED])


def judged(
    upward: Sequence[Step],
    down_and_up: Sequence[Step],
    copy: Reading,
    again: Reading | None = None,
    opposites: Collection[str] = (),
    remedy: Remedy = only_own,
) -> tuple[RevisionEvidence, ...]:
    """Return the verdicts.

    Args:
        upward: what each revision created when it ran, after whatever was in its way was removed.
        down_and_up: what each revision created when it ran again after its ``downgrade()``.
        copy: what the copy for `upward` held before.
        again: what the copy for `down_and_up` held before, if that is another reading.
        remedy: see :func:`.judging.judge`.
        opposites: revisions that undo themselves when run twice: the database looks the same whether or not they ran.
    """
    both = zip(_cautious(upward, copy, remedy), _cautious(down_and_up, again or copy, remedy), strict=True)
    why = "it is its own inverse: running it twice changes nothing"
    return tuple(_unverifiable(one, why) if one.revision in opposites else _together(one, other) for one, other in both)


def _cautious(steps: Sequence[Step], copy: Reading, remedy: Remedy) -> list[RevisionEvidence]:
    """Return verdicts where a missing object counts only if no later unobserved revision may have dropped it."""
    judged = list(judge(steps, copy, remedy=remedy))
    unseen: str | None = None
    for number in range(len(steps) - 1, -1, -1):
        step, evidence = steps[number], judged[number]
        if evidence.verdict in _LACKING and unseen is not None:
            why = f"{unseen}, which comes after it, could not be observed"
            judged[number] = _unverifiable(evidence, why)
        if not isinstance(step, Observation) or step.failure is not None:
            unseen = step.revision
    return judged


def _together(one: RevisionEvidence, other: RevisionEvidence) -> RevisionEvidence:
    """Return the combined verdict of both ways for one revision."""
    verdicts = {one.verdict, other.verdict}
    if verdicts & _LACKING and (one.is_there or other.is_there):
        return _unverifiable(one, "it can be both run and reverted in this state")
    for wanted in (Verdict.APPLIED, Verdict.PARTIAL, Verdict.NOT_APPLIED):
        if wanted in verdicts:
            return one if one.verdict is wanted else other
    return one  # unverifiable or empty: the upward run says more


def _unverifiable(evidence: RevisionEvidence, why: str) -> RevisionEvidence:
    path = next((told.path for told in evidence.objects), "")
    told = ObjectEvidence("revision", evidence.revision, "present", Presence.UNVERIFIABLE, why, path, None, None)
    return replace(evidence, verdict=Verdict.UNVERIFIABLE, objects=(told,))
