"""Recommend what to do about pending revisions, from the graph and the rows, and after a person has looked.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from alembic.script.revision import RevisionMap

from alembic_rescue import errors
from alembic_rescue.errors import listed
from alembic_rescue.evidence.model import SETTLED, Cause, Proof, RevisionEvidence, Verdict
from alembic_rescue.evidence.recommending import recommend
from alembic_rescue.graph import path as paths
from alembic_rescue.model import Action, Choice, Located, Recommendation


def advise(graph: RevisionMap, current: Collection[str], proof: Proof) -> Recommendation:
    """Return the one thing to do about what is pending, as far as the graph and the rows allow it.

    Args:
        current: the version table's rows.
    """
    pending, upgrade = settled_first(graph, proof.revisions), upgrading(graph.heads)
    advice = recommend(pending, proof.causes, transactional=proof.transactional, upgrade=upgrade)
    if advice.upgrades and not current and not proof.causes and is_untouched(pending):
        return replace(advice, reason="nothing is applied yet. Upgrade")
    advice = on_each_branch(graph, current, pending, advice)
    return with_choices(graph, current, pending, proof.causes, advice)


def is_untouched(pending: Sequence[RevisionEvidence]) -> bool:
    """Return whether none of these revisions' objects exist."""
    return all(
        one.verdict in {Verdict.NOT_APPLIED, Verdict.EMPTY}
        and all(found.vacuous or not found.met for found in one.objects)
        for one in pending
    )


def settled_first(graph: RevisionMap, pending: Sequence[RevisionEvidence]) -> list[RevisionEvidence]:
    """Return the evidence, settled revisions first, except those that follow an unsettled one."""
    waiting: set[str] = set()
    for one in pending:
        if one.verdict not in SETTLED or waiting.intersection(paths.follows(graph, one.revision)):
            waiting.add(one.revision)
    return sorted(pending, key=lambda one: one.revision in waiting)


def on_each_branch(
    graph: RevisionMap, current: Collection[str], pending: Sequence[RevisionEvidence], advice: Recommendation
) -> Recommendation:
    """Return the advice; where the proved revisions end on several branches, with a stamp for each branch.

    Args:
        current: the version table's rows.
        pending: the evidence, proved revisions first.
    """
    if advice.action is not Action.STAMP:
        return advice
    ids = [evidence.revision for evidence in pending]
    proved = ids[: ids.index(str(advice.revision)) + 1]
    followed = {before for one in proved for before in paths.follows(graph, one)}
    ends = [one for one in proved if one not in followed]
    if len(ends) == 1:
        return advice
    rows_then = {*ends, *(row for row in current if row not in followed)}
    targets = stamps_to(graph, rows_then, current)
    if not targets:
        reason = (
            f"all revisions up to {listed(ends)}, on several branches, are applied, but no forward stamp leads there"
        )
        return Recommendation(Action.STOP, None, f"{reason}; {by_hand(sorted(rows_then))}")
    first, *others = targets
    stamps = [f"stamp {first}", *(f"then {other}" for other in others)]
    then = ", ".join([*stamps, "then upgrade"] if len(proved) < len(ids) else stamps)
    return Recommendation(
        Action.STAMP, first, f"all revisions up to {listed(ends)}, on several branches, are applied: {then}"
    )


def with_choices(
    graph: RevisionMap,
    current: Collection[str],
    pending: Sequence[RevisionEvidence],
    causes: Sequence[Cause],
    advice: Recommendation,
) -> Recommendation:
    """Return the advice; if it depends on what cannot be verified, with one command for each possible finding."""
    first = next((one for one in pending if one.verdict not in SETTLED), None)
    if first is None or not _to_be_looked_at(first):
        return advice
    if advice.action is Action.STAMP or (advice.upgrades and not causes):
        # It counts as not run, or Alembic would have recorded it.  Only a person knows whether it was run by hand.
        way = _stamps(graph, [first.revision], current, [first.revision])
        ran = Choice(f"{first.revision} ran already", way)
        return advice if first.holds else replace(advice, choices=(ran,))
    if advice.action is not Action.STOP:
        return advice
    known = {one.revision: one for one in pending}

    def below(revision: str) -> list[RevisionEvidence]:
        reached = paths.up_to(graph, {revision})
        return [one for one in pending if one.revision in reached]

    def may_be_stamped(revision: str) -> bool:
        told = below(revision)
        return first in told and all(one.verdict in SETTLED or _to_be_looked_at(one) for one in told)

    ends = [one for one in known if known[one].verdict is Verdict.APPLIED and may_be_stamped(one)]
    target = ends[-1] if ends else first.revision
    if not may_be_stamped(target):  # a session holds a lock on one of its objects
        return advice
    taken = unproved(pending, {one.revision for one in below(target)})
    stamps = _stamps(graph, [target], current, [one.revision for one in taken])
    ways = [Choice(_done(taken), stamps)]
    they, their = ("it", "its") if len(taken) == 1 else ("they", "their")
    if not any(
        one.verdict in {Verdict.APPLIED, Verdict.PARTIAL} or one.holds for one in pending[pending.index(first) :]
    ):
        proved = next((one.revision for one in reversed(pending[: pending.index(first)]) if one.is_there), None)
        cause = next((one for one in causes if one.revision == first.revision and one.aborts), None)
        fixed = f", and {cause.place} is fixed" if cause else ""
        before = (f"alembic-rescue stamp {proved}",) if proved else ()
        ways.append(Choice(f"{they} did not run{fixed}", (*before, upgrading(graph.heads))))
    else:  # a later revision exists, so Alembic could not get past this one
        ways.append(Choice(f"{they} did not: make {their} changes by hand, then", stamps))
    return replace(advice, choices=tuple(ways))


def after_writing(pending: Collection[str], heads: Collection[str], *, would_fail: str) -> Recommendation:
    """Recommend what comes after a verified write.

    Args:
        pending: the revisions that Alembic runs next.
        heads: the latest revisions of the scripts.
        would_fail: why the next upgrade will fail, as rehearsed; empty if it will not, or if that is unknown.
    """
    if not pending:
        return Recommendation(Action.NOTHING, None, "no revision is pending")
    if would_fail:
        return Recommendation(Action.STOP, None, f"the next upgrade will fail: {would_fail}")
    number = f"{len(pending)} revision{'s are' if len(pending) != 1 else ' is'} pending"
    return Recommendation(Action.RERUN, None, number, (upgrading(heads),))


def upgrading(heads: Collection[str]) -> str:
    """Return the command that upgrades to the latest revisions of the scripts."""
    return f"alembic upgrade {'head' if len(heads) == 1 else 'heads'}"


def _to_be_looked_at(evidence: RevisionEvidence) -> bool:
    return evidence.verdict is Verdict.UNVERIFIABLE and not any(found.locked for found in evidence.objects)


def unproved(evidence: Sequence[RevisionEvidence], among: Collection[str]) -> list[RevisionEvidence]:
    """The revisions of `among` that cannot be verified."""
    return [one for one in evidence if one.revision in among and one.verdict is Verdict.UNVERIFIABLE]


def _done(taken: Sequence[RevisionEvidence]) -> str:
    return f"{listed([one.revision for one in taken])} did run"


def look_at(taken: Sequence[RevisionEvidence]) -> str:
    """What a person has to look at, with its places, for use in a sentence."""
    places = [f"{place} ({one.revision})" if (place := one.place) else one.revision for one in taken]
    return f"Check the rows that they change: {listed(places)}"


def next_unsure(graph: RevisionMap, every: Sequence[RevisionEvidence], located: Located) -> list[RevisionEvidence]:
    """The revisions directly after the schema's revision that may have run without leaving a trace."""
    stands = paths.up_to(graph, located.revisions)
    following = unproved(every, located.following)
    return [one for one in following if not one.holds and stands.issuperset(paths.follows(graph, one.revision))]


def ways_to(
    graph: RevisionMap,
    located: Located,
    current: Collection[str],
    taken: Sequence[RevisionEvidence],
    unsure: Sequence[RevisionEvidence],
) -> tuple[Choice, ...]:
    """The stamps to the schema's revision, and beyond it for revisions that may have run too."""
    names, accepted = [one.revision for one in unsure], [one.revision for one in taken]
    besides = f", and {_done(taken)}" if taken else ""
    way = _stamps(graph, stamps_to(graph, set(located.revisions), current), current, accepted)
    if not unsure:
        return (Choice(_done(taken), way),)
    followed = {before for one in names for before in paths.follows(graph, one)}
    beyond = stamps_to(graph, {*names, *located.revisions} - followed, current)
    ran = Choice(f"{listed(names)} ran{besides}", _stamps(graph, beyond, current, [*accepted, *names]))
    did_not = Choice(f"{listed(names)} did not run{besides}", way)
    return (ran, did_not) if beyond else (did_not,)


def _stamps(
    graph: RevisionMap, targets: Sequence[str], current: Collection[str], accepted: Collection[str]
) -> tuple[str, ...]:
    """The commands that stamp these targets in sequence, each with the revisions of `accepted` that it skips."""
    commands = []
    stands = tuple(sorted(current))
    for target in targets:
        path = paths.find_path(graph, stands, target)
        stands = path.heads_after
        named = "".join(f" --accept {one}" for one in path.skipped if one in accepted)
        commands.append(f"alembic-rescue stamp {target}{named}")
    return tuple(commands)


def by_hand(revisions: Sequence[str]) -> str:
    """How to set the rows by hand where no command of the tool does it, for use in a sentence."""
    return f"by hand: `alembic stamp --purge {' '.join(revisions)}`"


def stamps_to(graph: RevisionMap, wanted: set[str], current: Collection[str]) -> list[str]:
    """The sequence of stamps that leads from `current` to these rows; empty if none does."""
    if len(wanted) > 1 and wanted == set(graph.heads):
        return ["heads"]
    targets = sorted(wanted - set(current))
    stands = tuple(sorted(current))
    for target in targets:
        try:
            stands = paths.find_path(graph, stands, target).heads_after
        except errors.Refusal:  # a separate branch with no row in the version table
            return []
    return targets if set(stands) == wanted else []
