"""Rows that no forward stamp can fix: what they should be, and whether that is proved.

Besides undo, nothing else goes back, and a repair only over revisions of which nothing exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile

from alembic.script.revision import RevisionMap

from alembic_rescue import advising, diagnosing, errors, findings, gate, history, inspection
from alembic_rescue.client import Project
from alembic_rescue.errors import Refusal
from alembic_rescue.evidence import locating
from alembic_rescue.evidence.model import Presence, Proof, RevisionEvidence, Verdict
from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.gate import Acceptance
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.model import (
    Action,
    Choice,
    Database,
    DatabaseReport,
    Located,
    Note,
    Recommendation,
    Revision,
    Stamp,
)

_WANT_A_LOOK = frozenset([errors.RevisionUnverifiable.code, errors.RepairMayRerun.code])
"""The refusals that a person can resolve by checking the rows."""


_COME_FIRST = frozenset([errors.NothingLocated.code, errors.StampLeadsThere.code, errors.RepairWouldRerun.code])
"""The refusals that checking the rows does not change."""


def plan_one(
    project: Project,
    graph: RevisionMap,
    database: Database,
    proof: Proof,
    accepted: Acceptance,
    besides: tuple[Note, ...] = (),
) -> DatabaseReport:
    """Plan the repair of one database.  `besides` are refusals from elsewhere."""
    revisions = inspection.with_evidence(graph, [one.revision for one in proof.revisions], proof)
    every = {one.revision: (revision, one) for revision, one in zip(revisions, proof.revisions, strict=True)}
    hindrances = (*inspection.hindrances(project, database), *findings.left_over(proof), *besides)
    hindrances = (*hindrances, *findings.under_way(database))
    if (broke_off := database.broke_off) and not broke_off.is_repair:
        hindrances = (*hindrances, findings.note(findings.broke_off(database, broke_off)))
    located = diagnosing.located(graph, proof, accepted.unverifiable)
    return _to_repair(graph, database, every, located, accepted, hindrances)


def instead_of(advice: Recommendation, mended: DatabaseReport) -> Recommendation:
    """The advice for the schema's revision, with the repair in place of steps by hand."""
    if advice.action not in {Action.STOP, Action.NOTHING} or advice.choices:
        return advice
    if mended.recommendation.action is Action.COMPLETE:
        return mended.recommendation
    if not mended.stamps:
        return advice
    if not mended.refusals:
        says = advice.reason.partition("; by hand")[0]
        return Recommendation(Action.REPAIR, None, f"{says}; to set it: `alembic-rescue repair`")
    assert mended.located is not None, "what a repair would do always has it"
    if not mended.located.revisions:
        return advice
    would, refused = mended.recommendation, mended.refusals[0]
    then = "" if would.choices else f". {sentence(refused.help)}"
    return Recommendation(Action.STOP, None, f"{would.reason}; {refused.message}{then}", choices=would.choices)


def without_what_stamps_mend(parts: Sequence[DatabaseReport]) -> list[DatabaseReport]:
    """With several databases, leave those alone that a forward stamp fixes."""
    alone = len(parts) == 1
    return [
        replace(part, stamps=(), refusals=())
        if not alone and [refusal.code for refusal in part.refusals] == [errors.StampLeadsThere.code]
        else part
        for part in parts
    ]


def _to_repair(
    graph: RevisionMap,
    database: Database,
    every: Mapping[str, tuple[Revision, RevisionEvidence]],
    located: Located,
    accepted: Acceptance,
    hindrances: tuple[Note, ...],
) -> DatabaseReport:
    """Plan setting the rows to what is proved, with every refusal; no stamps if the rows are right.

    Args:
        every: all revisions with their evidence, in Alembic's order.
        located: where the schema is.
        accepted: the revisions that cannot be verified and that a person vouches for.
        hindrances: refusals unrelated to revisions.
    """
    current, said = database.current_heads, database.stands_at
    choices: tuple[Choice, ...] = ()
    once = tuple(sorted(set(said)))
    counted = paths.up_to(graph, {row for row in once if scripts.has(graph, row)})
    explained = bool(once) and inspection.is_explained(graph, once)
    holds = explained and not locating.missing([found for one, (_, found) in every.items() if one in counted])
    after = once if holds and paths.up_to(graph, located.revisions) <= counted else located.revisions
    then = paths.up_to(graph, after)
    new = gate.judged([found for found, _ in every.values() if found.revision in then - counted], accepted)
    # With rows that cannot be explained, it is also unknown which of the other revisions ran.
    others = counted - then if explained else every.keys() - then
    gone = [found for one, (_, found) in every.items() if one in others]
    refusals = [*hindrances]
    stamps: tuple[Stamp, ...] = ()
    advice = Recommendation(Action.REPAIR, None, history.says_otherwise(graph, located, current))
    if current != after:
        sound = inspection.is_explained(graph, current)
        if after:
            stamps = paths.find_stamps(graph, current, after) if sound else paths.all_anew(current, after)
        leads_forward = explained and sound and not gone and current == said
        refusals += inspection.refusal_of(partial(paths.check_length, after, database.id_limit, database.widen))
        unsure = [one for one in gone if _is_unsure(one, accepted)]
        ways = _choices(graph, [one for one in new if one.verdict is Verdict.UNVERIFIABLE], gone, unsure)
        first = next(iter(every.values()))[1] if every and not after else None
        half = _half([first] if first else gone)
        refusals += map(findings.note, _refusals(graph, current, after, new, gone, accepted, leads_forward, half))
        if half and not hindrances and not leads_forward:
            says = f"{half} is partially applied, but the version table says otherwise"
            advice = Recommendation(Action.COMPLETE, half, f"{says}. Complete it, then check again")
        if unsure and not any(one.code in _COME_FIRST for one in refusals):
            refusals.append(findings.note(_may_rerun(unsure, ways)))
        if refusals and {refusal.code for refusal in refusals} <= _WANT_A_LOOK:
            choices = ways
    return DatabaseReport(
        database=database,
        revisions=new,
        heads_after=after or current,
        stamps=stamps,
        pending_after=paths.pending(graph, after),
        refusals=tuple(refusals),
        findings=findings.of(database),
        recommendation=replace(advice, choices=choices),
        located=located,
    )


def _refusals(
    graph: RevisionMap,
    current: Sequence[str],
    after: Sequence[str],
    new: Sequence[Revision],
    gone: Sequence[RevisionEvidence],
    accepted: Acceptance,
    leads_forward: bool,  # noqa: FBT001
    half: str,
) -> list[Refusal]:
    if not after:
        return [errors.NothingLocated(half)]
    if leads_forward:
        return [errors.StampLeadsThere(advising.stamps_to(graph, set(after), current) or list(after))]
    if there := [one.revision for one in gone if something_is_there(one)]:
        return [errors.RepairWouldRerun(there, half)]
    # A revision already applied by the rows needs no acceptance, but the repair may depend on it.
    on_which_it_stands = accepted.unverifiable & paths.up_to(graph, after) - {one.revision for one in new}
    told = gate.refusals(new, replace(accepted, unverifiable=accepted.unverifiable - on_which_it_stands))
    named_in_vain = sorted(accepted.not_run - {one.revision for one in gone})
    return [*told, *(errors.NotRunNotLeft(named, [one.revision for one in gone]) for named in named_in_vain)]


def _half(evidence: Sequence[RevisionEvidence]) -> str:
    """The first partial revision for which there are statements."""
    partial_ = (one for one in evidence if one.verdict is Verdict.PARTIAL and any(o.sql for o in one.missing))
    return next((one.revision for one in partial_), "")


def _may_rerun(unsure: Sequence[RevisionEvidence], ways: Sequence[Choice]) -> Refusal:
    names, reasons = [one.revision for one in unsure], [gate.reason(one) for one in unsure]
    return errors.RepairMayRerun(names, reasons, [f"If {way.found}: {' '.join(way.commands)}" for way in ways])


def _is_unsure(evidence: RevisionEvidence, accepted: Acceptance) -> bool:
    return may_have_run(evidence) and not something_is_there(evidence) and evidence.revision not in accepted.not_run


def _choices(
    graph: RevisionMap,
    new: Sequence[Revision],
    gone: Sequence[RevisionEvidence],
    unsure: Sequence[RevisionEvidence],
) -> tuple[Choice, ...]:
    """The repair for each possible result of checking the rows.

    Args:
        new: revisions that would count as applied, and cannot be verified.
        gone: revisions that Alembic would run.
        unsure: those of `gone` that may have run; if one did, so did those before it.
    """
    lacking = {one.revision for one in locating.missing(gone)}
    reach = list(takewhile(lambda one: lacking.isdisjoint(paths.up_to(graph, {one.revision})), unsure))
    names = [one.revision for one in unsure]
    ways = []
    for ran in range(len(reach), -1, -1):
        told = [f"{errors.listed(names[:ran])} ran"] if ran else []
        told += [f"{errors.listed(names[ran:])} did not run"] if names[ran:] else []
        done = [f"{errors.listed([one.revision for one in new])} did run"] if new else []
        options = (
            f"{_vouched('--accept', new)}{_vouched('--accept', unsure[:ran])}{_vouched('--not-run', unsure[ran:])}"
        )
        ways.append(Choice(", and ".join([*told, *done]), (f"alembic-rescue repair{options}",)))
    return tuple(ways)


def _vouched(option: str, revisions: Sequence[Revision] | Sequence[RevisionEvidence]) -> str:
    return "".join(f" {option} {one.revision}" for one in revisions)


def something_is_there(evidence: RevisionEvidence) -> bool:
    """Whether something of it exists, perhaps in another form, so that a second run would conflict with it."""
    if evidence.verdict is Verdict.EMPTY:
        return False
    held = any(
        (o.presence is Presence.DIFFERENT and not o.as_before) or (o.met and not o.vacuous) for o in evidence.objects
    )
    return held or evidence.verdict in {Verdict.APPLIED, Verdict.PARTIAL}


def may_have_run(evidence: RevisionEvidence) -> bool:
    """Whether it may have run.

    Ruled out only if it changes nothing but the catalog, and none of that exists.  Its table may have been dropped, but
    what it did to rows remains.
    """
    if evidence.verdict is Verdict.EMPTY:
        return False
    told = all(o.presence is not Presence.UNVERIFIABLE for o in evidence.objects)
    return not (evidence.verdict is Verdict.NOT_APPLIED and told) or something_is_there(evidence)
