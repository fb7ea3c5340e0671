"""What was found out on copies of the live schema -> a verdict for each revision.  Pure.

Both ways are judged by themselves against the copy as it was, and must not speak against one another: a revision that
is its own opposite (it swaps two tables) looks applied the one way and not applied the other.
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
    """The verdicts.

    Args:
        upward: what each revision made when it was run, what was in its way taken away first.
        down_and_up: what each made when it was run again after its ``downgrade()``.
        copy: what the copy of `upward` held before.
        again: what the copy of `down_and_up` held before, if that is another reading.
        remedy: see :func:`.judging.judge`.
        opposites: revisions that lead back when they are run twice: they look the same, run or not.
    """
    both = zip(_cautious(upward, copy, remedy), _cautious(down_and_up, again or copy, remedy), strict=True)
    why = "it is its own inverse: running it twice changes nothing"
    return tuple(_unverifiable(one, why) if one.revision in opposites else _together(one, other) for one, other in both)


def _cautious(steps: Sequence[Step], copy: Reading, remedy: Remedy) -> list[RevisionEvidence]:
    """Verdicts in which what is not there counts only if no later revision that nobody saw may have taken it away."""
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
    """What both ways say of one revision."""
    verdicts = {one.verdict, other.verdict}
    if verdicts & _LACKING and (one.is_there or other.is_there):
        return _unverifiable(one, "it can be both run and reverted in this state")
    for wanted in (Verdict.APPLIED, Verdict.PARTIAL, Verdict.NOT_APPLIED):
        if wanted in verdicts:
            return one if one.verdict is wanted else other
    return one  # unverifiable or empty: what it does when it is run says more


def _unverifiable(evidence: RevisionEvidence, why: str) -> RevisionEvidence:
    path = next((told.path for told in evidence.objects), "")
    told = ObjectEvidence("revision", evidence.revision, "present", Presence.UNVERIFIABLE, why, path, None, None)
    return replace(evidence, verdict=Verdict.UNVERIFIABLE, objects=(told,))
