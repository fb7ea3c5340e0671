"""Rows that no forward stamp can mend: what they are to be, and whether that is proved.

The only way that goes back, besides undo: only over revisions of which nothing is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from alembic.script.revision import RevisionMap

from alembic_rescue import diagnosing, errors, findings, gate, history, inspection
from alembic_rescue.client import Project
from alembic_rescue.errors import Refusal
from alembic_rescue.evidence import locating
from alembic_rescue.evidence.model import Presence, Proof, RevisionEvidence, Verdict
from alembic_rescue.gate import Acceptance
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.model import Action, Database, DatabaseReport, Located, Note, Recommendation, Revision, Stamp


def plan_one(
    project: Project,
    graph: RevisionMap,
    database: Database,
    proof: Proof,
    accepted: Acceptance,
    besides: tuple[Note, ...] = (),
) -> DatabaseReport:
    """What a repair would do to one database; `besides` are refusals that come from elsewhere."""
    revisions = inspection.with_evidence(graph, [one.revision for one in proof.revisions], proof)
    every = {one.revision: (revision, one) for revision, one in zip(revisions, proof.revisions, strict=True)}
    hindrances = (*inspection.hindrances(project, database), *findings.left_over(proof), *besides)
    hindrances = (*hindrances, *findings.under_way(database))
    if (broke_off := database.broke_off) and not broke_off.is_repair:
        hindrances = (*hindrances, findings.note(findings.broke_off(database, broke_off)))
    return _to_repair(graph, database, every, diagnosing.located(graph, proof), accepted, hindrances)


def instead_of(advice: Recommendation, mended: DatabaseReport) -> Recommendation:
    """The advice for where the schema stands, with what a repair would do in place of what is to be done by hand."""
    if advice.action not in {Action.STOP, Action.NOTHING} or not mended.stamps:
        return advice
    says = advice.reason.partition("; by hand")[0]
    if not mended.refusals:
        return Recommendation(Action.REPAIR, None, f"{says}; set it with alembic-rescue repair")
    if {refusal.code for refusal in mended.refusals} == {errors.RevisionUnverifiable.code}:
        unproved = [one.revision for one in mended.revisions if one.verdict is Verdict.UNVERIFIABLE]
        accepted = "".join(f" --accept {revision}" for revision in unproved)
        return Recommendation(Action.STOP, None, f"{says}; look at it, then: alembic-rescue repair{accepted}")
    return Recommendation(Action.STOP, None, f"{says}; {mended.refusals[0].message}")


def without_what_stamps_mend(parts: Sequence[DatabaseReport]) -> list[DatabaseReport]:
    """Of several databases, those that a forward stamp mends are left as they are."""
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
    """What setting the rows to what is proved comes to; with every refusal, and without stamps where they are right.

    Args:
        every: all revisions with their evidence, in Alembic's order.
        located: where the schema stands.
        accepted: those whose doing cannot be checked and for which a person vouches.
        hindrances: refusals that have nothing to do with revisions.
    """
    current, said = database.current_heads, database.stands_at
    once = tuple(sorted(set(said)))
    counted = paths.up_to(graph, {row for row in once if scripts.has(graph, row)})
    explained = bool(once) and not inspection.refusal_of(partial(paths.check_current, graph, once))
    holds = explained and not locating.missing([found for one, (_, found) in every.items() if one in counted])
    after = once if holds and paths.up_to(graph, located.revisions) <= counted else located.revisions
    then = paths.up_to(graph, after)
    new = gate.judged([found for found, _ in every.values() if found.revision in then - counted], accepted)
    # Of rows that nobody can explain nobody can tell, either, which of the other revisions ran.
    others = counted - then if explained else every.keys() - then
    gone = [found for one, (_, found) in every.items() if one in others]
    refusals = [*hindrances]
    stamps: tuple[Stamp, ...] = ()
    if current != after:
        sound = not inspection.refusal_of(partial(paths.check_current, graph, current))
        stamps = paths.find_stamps(graph, current, after) if sound else paths.all_anew(current, after)
        leads_forward = explained and sound and not gone and current == said
        refusals += inspection.refusal_of(partial(paths.check_length, after, database.id_limit, database.widen))
        refusals += map(findings.note, _refusals(graph, current, after, new, gone, accepted, leads_forward))
    return DatabaseReport(
        database=database,
        revisions=new,
        heads_after=after or current,
        stamps=stamps,
        pending_after=paths.pending(graph, after),
        refusals=tuple(refusals),
        findings=findings.of(database),
        recommendation=Recommendation(Action.REPAIR, None, f"the schema stands at {errors.rows(after)}"),
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
) -> list[Refusal]:
    if not after:
        return [errors.NothingLocated()]
    if leads_forward:
        return [errors.StampLeadsThere(history.stamps_to(graph, set(after), current) or list(after))]
    if there := [one.revision for one in gone if may_have_run(one)]:
        return [errors.RepairWouldRerun(there)]
    return list(gate.refusals(new, accepted))


def may_have_run(evidence: RevisionEvidence) -> bool:
    """Whether it is not shown not to have run: by all of it that a catalog has, and nothing that none has.

    Somebody may have dropped its table; what it did to rows was done all the same.
    """
    if evidence.verdict is Verdict.EMPTY:
        return False
    wholly = all(o.presence is not Presence.DIFFERENT and not (o.met and not o.vacuous) for o in evidence.objects)
    told = all(o.presence is not Presence.UNVERIFIABLE for o in evidence.objects)
    return not (evidence.verdict is Verdict.NOT_APPLIED and wholly and told)
