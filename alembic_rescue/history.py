"""What to do about what is behind: what was stamped but is not there, and where a schema really stands.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from alembic.script.revision import RevisionMap

from alembic_rescue import errors
from alembic_rescue.errors import listed, rows, some
from alembic_rescue.evidence import locating
from alembic_rescue.evidence.model import SETTLED, Cause, Proof, RevisionEvidence, Verdict
from alembic_rescue.evidence.recommending import recommend
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.model import Action, BrokenOff, Choice, Located, Note, Recommendation

_APPLIED, _LOCATE = "alembic-rescue diagnose --applied", "alembic-rescue diagnose --locate"


def stamped_but_not_there(graph: RevisionMap, applied: Sequence[RevisionEvidence]) -> tuple[Note, ...]:
    """A finding for each revision at or below the current heads of which something is missing."""
    heirs = _there_after(graph, applied)
    return tuple(_not_there(evidence, heirs.get(evidence.revision)) for evidence in locating.missing(applied))


def _there_after(graph: RevisionMap, applied: Sequence[RevisionEvidence]) -> dict[str, str]:
    """For each revision the next one that builds on it and is there, if one is."""
    heirs: dict[str, str] = {}
    for evidence in reversed(applied):
        heir = evidence.revision if evidence.is_there else heirs.get(evidence.revision)
        if heir is not None:
            heirs.update(dict.fromkeys(paths.follows(graph, evidence.revision), heir))
    return heirs


def _not_there(evidence: RevisionEvidence, heir: str | None) -> Note:
    """Of which nothing is there, though `heir` is: the files followed one another otherwise when that one ran."""
    moved = heir is not None and evidence.verdict is Verdict.NOT_APPLIED
    because = f" because {heir}, which follows it, has run" if moved else ""
    order = f"{heir} was moved behind it, or what it made was dropped. " if moved else ""
    return Note(
        "stamped-but-not-there",
        f"{evidence.revision} counts as applied{because}, but its "
        f"{errors.some(f'{found.kind} {found.name}' for found in evidence.missing)} not there as it leaves it",
        f"{order}Alembic will never make it by itself: {_way_on(evidence)}",
    )


def _way_on(evidence: RevisionEvidence) -> str:
    if any(found.sql for found in evidence.missing):
        return "run the statements shown for it, or restore it from where it was"
    return "look at the database, and make it so by hand"


def never_ran(revisions: Sequence[RevisionEvidence]) -> bool:
    """Nothing of any of them is there that would not be there without."""
    return not any(evidence.is_there or evidence.verdict is Verdict.PARTIAL for evidence in revisions)


def recommend_for_applied(applied: Sequence[RevisionEvidence]) -> Recommendation:
    """What to do about the revisions that count as applied."""
    lacking = locating.missing(applied)
    absent = [evidence.revision for evidence in lacking]
    if absent and never_ran(applied[applied.index(lacking[0]) :]):
        reason = f"nothing of {listed(absent)} is there, although the version says applied"
        return Recommendation(Action.STOP, None, f"{reason}: see {_LOCATE}")
    if absent and not any(found.sql for found in lacking[0].missing):
        reason = f"of {absent[0]} something is missing for which no statement can be offered"
        return Recommendation(Action.STOP, None, f"{reason}: look at the database, and make it so by hand")
    if absent:
        return Recommendation(
            Action.COMPLETE, absent[0], f"of {listed(absent)} something is missing, although the version says applied"
        )
    if applied and not any(evidence.verdict is Verdict.APPLIED for evidence in applied):
        return Recommendation(
            Action.STOP, None, "nothing of what counts as applied could be checked: nothing is proved"
        )
    cannot = unchecked(applied)
    cannot = cannot and f"; {cannot}"
    return Recommendation(Action.NOTHING, None, f"nothing is missing of {_revisions(len(applied))} applied{cannot}")


def unchecked(applied: Sequence[RevisionEvidence]) -> str:
    """Which of those that count as applied nobody can check; empty where there are none."""
    unread = [evidence.revision for evidence in applied if evidence.verdict is Verdict.UNVERIFIABLE]
    return f"what {some(unread, verb=False)} changed besides cannot be checked" if unread else ""


def _revisions(number: int) -> str:
    return "the one revision that counts as" if number == 1 else f"the {number} revisions that count as"


def advise(graph: RevisionMap, current: Collection[str], proof: Proof) -> Recommendation:
    """The one thing to do about what is pending, as the graph and the rows allow it.

    Args:
        current: the version table's rows.
    """
    advice = recommend(proof.revisions, proof.causes, transactional=proof.transactional)
    advice = on_each_branch(graph, current, proof.revisions, advice)
    return with_choices(graph, current, proof.revisions, proof.causes, advice)


def on_each_branch(
    graph: RevisionMap, current: Collection[str], pending: Sequence[RevisionEvidence], advice: Recommendation
) -> Recommendation:
    """The same advice; where what is proved ends on several branches, a stamp for each of them.

    Args:
        current: the version table's rows.
        pending: the evidence, those first that are proved.
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
        reason = f"everything up to {listed(ends)}, on several branches, is there; no forward stamp leads there"
        return Recommendation(Action.STOP, None, f"{reason}; {_by_hand(sorted(rows_then))}")
    first, *others = targets
    stamps = [f"stamp {first}", *(f"then {other}" for other in others)]
    then = ", ".join([*stamps, "then upgrade"] if len(proved) < len(ids) else stamps)
    return Recommendation(
        Action.STAMP, first, f"everything up to {listed(ends)}, on several branches, is there: {then}"
    )


def recommend_after_breaking_off(
    broke_off: BrokenOff | None, skipped: Sequence[RevisionEvidence]
) -> Recommendation | None:
    """To finish what broke off, or to go back where something of it is missing by now; None where nothing did.

    Args:
        skipped: what that stamp marks as applied.
    """
    if broke_off is None:
        return None
    accepted = {*broke_off.accepted, *broke_off.accepted_missing}
    proved = {Verdict.APPLIED, Verdict.EMPTY}
    lacking = [one.revision for one in skipped if one.verdict not in proved and one.revision not in accepted]
    if lacking:
        broken = f"the {broke_off.command} of receipt {broke_off.receipt} broke off"
        reason = f"{broken}, and {listed(lacking)} cannot be proved: go back with alembic-rescue undo"
        return Recommendation(Action.STOP, None, reason)
    if broke_off.command == "repair":
        reason = f"the repair of receipt {broke_off.receipt} broke off; finish it with alembic-rescue repair"
        return Recommendation(Action.REPAIR, None, reason)
    if broke_off.command == "stamp":
        reason = f"the stamp of receipt {broke_off.receipt} broke off; finish it"
        return Recommendation(Action.STAMP, broke_off.target, reason)
    reason = f"the undo of receipt {broke_off.receipt} broke off; finish it with alembic-rescue undo"
    return Recommendation(Action.STOP, None, reason)


def recommend_for_located(
    graph: RevisionMap, every: Sequence[RevisionEvidence], located: Located, current: Collection[str]
) -> Recommendation:
    """What to do about where the schema stands, in the light of what the version table says.

    Args:
        every: the evidence for all revisions of `graph`.
        located: what follows from it.
        current: the version table's rows; the graph need not know them.
    """
    if not located.revisions:
        return Recommendation(
            Action.STOP, None, "no revision can be shown to be there: an empty schema, or not one of these scripts"
        )
    stands = _stands(located)
    if set(current) == set(located.revisions):
        return Recommendation(Action.NOTHING, None, f"{stands}, as the version table says")
    by_hand = _by_hand(located.revisions)
    says = says_otherwise(graph, located, current)
    if set(current) <= paths.up_to(graph, located.revisions):
        targets = stamps_to(graph, set(located.revisions), current)
        if not targets:
            return Recommendation(Action.STOP, None, f"{says}, and no forward stamp leads there; {by_hand}")
        taken = _unproved(every, paths.up_to(graph, located.revisions) - paths.up_to(graph, current))
        # Without any row nobody knows, either, whether those ran that come next and leave nothing in a catalog.
        unsure = _next_unsure(graph, every, located) if not current else []
        if taken or unsure:
            choices = _ways_to(graph, located, current, taken, unsure)
            return Recommendation(Action.STOP, None, f"{says}. {_look_at([*taken, *unsure])}", choices=choices)
        plans = f"alembic-rescue plan {targets[0]}" + "".join(f", and then {other}" for other in targets[1:])
        return Recommendation(Action.STAMP, targets[0], f"{says}: see {plans}")
    if not all(scripts.has(graph, row) for row in current):
        return Recommendation(Action.STOP, None, f"{says}; {by_hand}")
    counted = paths.up_to(graph, current)
    beyond = [evidence for evidence in every if evidence.revision in counted.intersection(located.following)]
    if locating.missing(beyond) and counted.issuperset(located.revisions) and never_ran(beyond):
        return Recommendation(
            Action.STOP, None, f"{says}, of which nothing is there; {by_hand}, and then alembic upgrade"
        )
    if not counted.isdisjoint(evidence.revision for evidence in locating.missing(every)):
        return Recommendation(Action.STOP, None, f"{says}, of which something is missing: see {_APPLIED}")
    unproved = [one.revision for one in every if one.revision in counted and one.verdict is Verdict.UNVERIFIABLE]
    though = f", though {listed(unproved)} cannot be proved" if unproved else ""
    action = Action.NOTHING if counted.issuperset(located.revisions) else Action.STOP
    return Recommendation(action, None, f"{says}, of which nothing is missing{though}")


def _stands(located: Located) -> str:
    sure = "proved" if not located.unproved else f"proved but for {listed(located.unproved)}, which cannot be checked"
    return f"the schema stands at {rows(located.revisions)} ({sure})"


def says_otherwise(graph: RevisionMap, located: Located, current: Collection[str]) -> str:
    """Where the schema stands, and where the version table says."""
    unknown = [row for row in sorted(current) if not scripts.has(graph, row)]
    but = f", and the scripts do not have {listed(unknown)}" if unknown else ""
    return f"{_stands(located)}; the version table says {rows(sorted(current))}{but}"


def with_choices(
    graph: RevisionMap,
    current: Collection[str],
    pending: Sequence[RevisionEvidence],
    causes: Sequence[Cause],
    advice: Recommendation,
) -> Recommendation:
    """The same advice; where it comes to what cannot be checked, the command for each thing that a look may find."""
    first = next((one for one in pending if one.verdict not in SETTLED), None)
    if first is None or not _to_be_looked_at(first):
        return advice
    if advice.action is Action.STAMP or (advice.action is Action.RERUN and not causes and not advice.steps):
        # It counts as not run: else Alembic would have written that. Somebody who ran it by hand knows.
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
    if not may_be_stamped(target):  # somebody has it locked
        return advice
    taken = _unproved(pending, {one.revision for one in below(target)})
    stamps = _stamps(graph, [target], current, [one.revision for one in taken])
    ways = [Choice(_done(taken), stamps)]
    if not any(
        one.verdict in {Verdict.APPLIED, Verdict.PARTIAL} or one.holds for one in pending[pending.index(first) :]
    ):
        proved = next((one.revision for one in reversed(pending[: pending.index(first)]) if one.is_there), None)
        cause = next((one for one in causes if one.revision == first.revision and one.aborts), None)
        fixed = f", and {cause.place} is fixed" if cause else ""
        before = (f"alembic-rescue stamp {proved}",) if proved else ()
        ways.append(Choice(f"it did not run{fixed}", (*before, f"alembic upgrade {heads_word(graph)}")))
    else:  # what comes later is there: Alembic would not get past it
        ways.append(Choice("it is not done: do to the rows what it would do, by hand", stamps))
    return replace(advice, choices=tuple(ways))


def heads_word(graph: RevisionMap) -> str:
    """What stands for the latest revisions in a command of Alembic's."""
    return "head" if len(graph.heads) == 1 else "heads"


def _to_be_looked_at(evidence: RevisionEvidence) -> bool:
    return evidence.verdict is Verdict.UNVERIFIABLE and not any(found.locked for found in evidence.objects)


def _unproved(evidence: Sequence[RevisionEvidence], among: Collection[str]) -> list[RevisionEvidence]:
    return [one for one in evidence if one.revision in among and one.verdict is Verdict.UNVERIFIABLE]


def _done(taken: Sequence[RevisionEvidence]) -> str:
    return f"what {listed([one.revision for one in taken])} {'does' if len(taken) == 1 else 'do'} is done there"


def _look_at(taken: Sequence[RevisionEvidence]) -> str:
    places = [f"{place} ({one.revision})" if (place := one.place) else one.revision for one in taken]
    return f"Look at the rows that they change: {listed(places)}"


def _next_unsure(graph: RevisionMap, every: Sequence[RevisionEvidence], located: Located) -> list[RevisionEvidence]:
    stands = paths.up_to(graph, located.revisions)
    following = _unproved(every, located.following)
    return [one for one in following if not one.holds and stands.issuperset(paths.follows(graph, one.revision))]


def _ways_to(
    graph: RevisionMap,
    located: Located,
    current: Collection[str],
    taken: Sequence[RevisionEvidence],
    unsure: Sequence[RevisionEvidence],
) -> tuple[Choice, ...]:
    """The stamps to where the schema stands, and to beyond what may have run as well."""
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
    """The commands that stamp these targets one after the other, each with what it skips of `accepted`."""
    commands = []
    stands = tuple(sorted(current))
    for target in targets:
        path = paths.find_path(graph, stands, target)
        stands = path.heads_after
        named = "".join(f" --accept {one}" for one in path.skipped if one in accepted)
        commands.append(f"alembic-rescue stamp {target}{named}")
    return tuple(commands)


def _by_hand(revisions: Sequence[str]) -> str:
    return f"by hand: alembic stamp --purge {' '.join(revisions)}"


def stamps_to(graph: RevisionMap, wanted: set[str], current: Collection[str]) -> list[str]:
    """The stamps that lead from `current` to these rows, one after the other; none where none do."""
    if len(wanted) > 1 and wanted == set(graph.heads):
        return ["heads"]
    targets = sorted(wanted - set(current))
    stands = tuple(sorted(current))
    for target in targets:
        try:
            stands = paths.find_path(graph, stands, target).heads_after
        except errors.Refusal:  # a branch of its own, of which nothing stands in the version table
            return []
    return targets if set(stands) == wanted else []
