"""Rows that no forward stamp can mend: what they are to be, and whether that is proved.

The only way that goes back, besides undo: only over revisions of which nothing is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from alembic.script.revision import RevisionMap

from alembic_rescue import diagnosing, errors, findings, gate, history, inspection
from alembic_rescue.client import Project
from alembic_rescue.errors import Refusal
from alembic_rescue.evidence.model import Proof, RevisionEvidence, Verdict
from alembic_rescue.gate import Acceptance
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.model import Action, Database, DatabaseReport, Located, Note, Recommendation, Revision, Stamp


def plan_one(
    project: Project, graph: RevisionMap, database: Database, proof: Proof, accepted: Acceptance
) -> DatabaseReport:
    """What a repair would do to one database."""
    revisions = inspection.with_evidence(graph, [one.revision for one in proof.revisions], proof)
    every = {one.revision: (revision, one) for revision, one in zip(revisions, proof.revisions, strict=True)}
    hindrances = (*inspection.hindrances(project, database), *findings.left_over(proof))
    if (broke_off := database.broke_off) and not broke_off.is_repair:
        hindrances = (*hindrances, findings.note(findings.broke_off(database, broke_off)))
    return _to_repair(graph, database, every, diagnosing.located(graph, proof), accepted, hindrances)


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
    current, after = database.current_heads, located.revisions
    known = {row for row in current if scripts.has(graph, row)}
    counted, then = paths.up_to(graph, known), paths.up_to(graph, after)
    sound = not inspection.refusal_of(partial(paths.check_current, graph, current))
    more, less = then - counted, set(counted - then)
    new = gate.judged([found for found, _ in every.values() if found.revision in more], accepted)
    if not current or known != set(current):  # nobody can tell which of the others ran
        less = every.keys() - then
    gone = [found for _, found in every.values() if found.revision in less]
    refusals = [*hindrances]
    stamps: tuple[Stamp, ...] = ()
    if current != after:
        stamps = paths.find_stamps(graph, current, after) if sound else paths.all_anew(current, after)
        refusals += map(findings.note, _refusals(graph, current, after, new, gone, accepted, sound=sound))
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
    *,
    sound: bool,
) -> list[Refusal]:
    if not after:
        return [errors.NothingLocated()]
    if sound and current and not gone:
        return [errors.StampLeadsThere(history.stamps_to(graph, set(after), current) or list(after))]
    if there := _may_have_run(graph, gone):
        return [errors.RepairWouldRerun(there)]
    return list(gate.refusals(new, accepted))


def _may_have_run(graph: RevisionMap, gone: Sequence[RevisionEvidence]) -> list[str]:
    """Those that are not shown not to have run: by what they lack, or by what one before them lacks wholly."""
    absent = {one.revision for one in gone if one.verdict is Verdict.NOT_APPLIED}
    return [
        one.revision
        for one in gone
        if (one.verdict is not Verdict.EMPTY and absent.isdisjoint(paths.up_to(graph, [one.revision])))
        or one.is_there
        or one.verdict is Verdict.PARTIAL
    ]
