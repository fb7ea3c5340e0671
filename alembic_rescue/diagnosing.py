"""The report of ``diagnose`` for one database, with its one recommendation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from alembic.script.revision import RevisionMap

from alembic_rescue import advising, errors, findings, history, inspection
from alembic_rescue.client import Project
from alembic_rescue.evidence import locating
from alembic_rescue.evidence.model import Cause, Proof, Verdict
from alembic_rescue.evidence.rehearsal import Rehearsal
from alembic_rescue.evidence.sentences import sentence
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.inspection import View
from alembic_rescue.model import (
    Action,
    Database,
    DatabaseReport,
    Located,
    Note,
    Recommendation,
)


def of_pending(
    project: Project, view: View, database: Database, proved: Proof, applied: Proof | None, logged: tuple[Note, ...]
) -> DatabaseReport:
    """Report what is pending on one database, and the one thing to do.

    Args:
        applied: the proof of the applied revisions, where it is in doubt whether their objects exist.
        logged: the findings from the deployment's log.
    """
    graph = view.graph
    proof, apart = apart_from_pending(graph, database, proved)
    advice = widened_first(graph, database, advising.advise(graph, database.stands_at, proof))
    told = (*findings.limits(database, proof), *findings.causes(_that_remain(proof, advice)), *logged)
    if apart:
        told = (*told, findings.not_begun(apart, paths.rows_after(graph, (), apart)))
    shown = proof
    if applied is not None:
        shown, told, advice = with_what_is_applied(graph, proof, applied, told, advice)
    part = diagnosis(project, view, database, shown, told, advice)
    pending = tuple(revision for revision in part.pending_after if revision not in apart)
    return replace(part, causes=proof.causes, pending_after=pending)


def _that_remain(proof: Proof, advice: Recommendation) -> list[Cause]:
    """The causes that the recommended action does not remove: it removes failures of a revision on its own objects."""
    if advice.action not in {Action.STAMP, Action.COMPLETE}:
        return list(proof.causes)
    there = {one.revision for one in proof.revisions if one.verdict in {Verdict.APPLIED, Verdict.PARTIAL}}
    return [one for one in proof.causes if one.swallowed or one.code or one.revision not in there]


def diagnosis(
    project: Project, view: View, database: Database, proof: Proof, told: tuple[Note, ...], advice: Recommendation
) -> DatabaseReport:
    """The report of one database.  `advice` is replaced if something prevents acting on it."""
    graph = view.graph
    finishes = after_breaking_off(graph, database, proof)
    rows = database.current_heads if finishes else database.stands_at
    refusals = inspection.refusal_of(partial(paths.check_current, graph, rows))
    left_over = findings.left_over(proof)
    hindrances = (*inspection.hindrances(project, database), *left_over)
    advice = finishes or advice
    if unwritable := findings.hindrance(database):
        hindrances = (*hindrances, findings.note(unwritable))
    if database.rescue_at_work:
        advice = Recommendation(Action.STOP, None, errors.RescueUnderWay(database.identity.name).message)
    elif (refusals and not finishes) or hindrances:
        first = (*refusals, *hindrances)[0]
        then = ""
        if first in hindrances and first not in left_over:
            then = f". {sentence(first.help)}"
        elif refusals and not hindrances and not proof.revisions:
            then = ". To find which revision the schema is at: `alembic-rescue diagnose --locate`"
        steps = _mending(proof) if first in left_over else ()
        advice = Recommendation(Action.STOP, None, f"{first.message}{then}", steps)
    return DatabaseReport(
        database=database,
        revisions=inspection.with_evidence(
            graph, paths.in_order(graph, {one.revision for one in proof.revisions}), proof
        ),
        heads_after=database.current_heads,
        stamps=(),
        pending_after=inspection.pending(graph, database),
        refusals=refusals,
        findings=(*findings.of(database), *told, *hindrances),
        recommendation=advice,
    )


def _mending(proof: Proof) -> tuple[str, ...]:
    """The statements that repair what was interrupted, then a new look."""
    return (*(f"{left.sql};" for left in proof.left_over), "alembic-rescue diagnose")


def widened_first(graph: RevisionMap, database: Database, advice: Recommendation) -> Recommendation:
    """Return the advice; if the version column is too short for what it would write, advise widening it first."""
    if advice.action is not Action.STAMP or advice.revision is None or database.id_limit is None:
        return advice
    try:
        path = paths.find_path(graph, database.stands_at, advice.revision)
        paths.check_length(path.heads_after, database.id_limit, database.widen)
    except errors.RevisionTooLong as long:
        reason = f"{advice.reason.partition(':')[0]}, but {long.message}"
        return Recommendation(
            Action.STOP, None, f"{reason}. {sentence(long.help)}; then check again, and stamp {long.revision}"
        )
    except errors.Refusal:
        pass
    return advice


def is_doubted(proof: Proof) -> bool:
    """Whether applied revisions may be missing: nothing explains why the database is stuck, or a cause suggests it."""
    if any("does not exist" in cause.error for cause in proof.causes):
        return True
    return not proof.causes and all(one.verdict in {Verdict.NOT_APPLIED, Verdict.EMPTY} for one in proof.revisions)


def with_what_is_applied(
    graph: RevisionMap, proof: Proof, applied: Proof, told: tuple[Note, ...], advice: Recommendation
) -> tuple[Proof, tuple[Note, ...], Recommendation]:
    """Return the same; if something is missing from the applied revisions, with that, and what to do about it first."""
    if locating.missing(applied.revisions):
        missing = history.stamped_but_not_there(graph, applied.revisions)
        first = history.recommend_for_applied(applied.revisions)
        return (proof if proof.revisions else applied), (*missing, *told), first
    if proof.revisions or not applied.revisions:
        return proof, told, advice
    return proof, told, replace(advice, reason=history.at_latest(applied.revisions))


def is_hindered(project: Project, database: Database, proof: Proof) -> bool:
    """Whether something other than the rows prevents a write."""
    others = database.rescue_at_work or inspection.hindrances(project, database)
    return bool(others or findings.left_over(proof) or findings.hindrance(database))


def located(graph: RevisionMap, proof: Proof, vouched: Collection[str] = ()) -> Located:
    """Locate the schema, from the evidence for all revisions and the revisions that a person vouches for."""
    follows = {one.revision: paths.follows(graph, one.revision) for one in proof.revisions}
    return locating.locate(proof.revisions, follows, vouched)


def apart_from_pending(graph: RevisionMap, database: Database, proof: Proof) -> tuple[Proof, tuple[str, ...]]:
    """The proof without bases that never began here and of which nothing exists, and the revisions left out."""
    not_begun = paths.not_begun(graph, database.stands_at) if proof.revisions else ()  # the rows may be unexplained
    of_them = [one for one in proof.revisions if one.revision in not_begun]
    if not of_them or not history.never_ran(of_them):
        return proof, ()
    kept = tuple(one for one in proof.revisions if one.revision not in not_begun)
    return replace(proof, revisions=kept), tuple(one.revision for one in of_them)


def after_breaking_off(graph: RevisionMap, database: Database, proof: Proof) -> Recommendation | None:
    """What to do about an interrupted command there; None if there is none."""
    if (broke_off := database.broke_off) is None:
        return None
    ends = [[row for row in rows if scripts.has(graph, row)] for rows in (broke_off.rows_after, broke_off.rows_before)]
    skipped = paths.up_to(graph, ends[0]) - paths.up_to(graph, ends[1])
    return history.recommend_after_breaking_off(broke_off, [one for one in proof.revisions if one.revision in skipped])


def stamped_first(graph: RevisionMap, part: DatabaseReport, proof: Proof) -> DatabaseReport:
    """A rehearsal's report; if it fails on existing objects, with the action that replaces a fix."""
    if part.rehearsal is None or not part.rehearsal.fails:
        return part
    if proof.left_over:
        return _mended_first(part, part.rehearsal, proof)
    advice = advising.advise(graph, part.database.stands_at, proof)
    there = advice.action in {Action.STAMP, Action.COMPLETE} or advice.choices
    return replace(part, recommendation=advice) if there else part


def _mended_first(part: DatabaseReport, found: Rehearsal, proof: Proof) -> DatabaseReport:
    """Return the same after an interruption: no migration is to blame for failing on what was left over."""

    def on_it(error: str) -> bool:
        return any(left.copy in error for left in proof.left_over)

    told, kept = findings.left_over(proof), tuple(cause for cause in found.causes if not on_it(cause.error))
    return replace(
        part,
        findings=(*part.findings, *told),
        recommendation=Recommendation(Action.STOP, None, told[0].message, _mending(proof)),
        causes=kept,
        rehearsal=replace(found, causes=kept, fix="" if on_it(found.error) else found.fix),
    )
