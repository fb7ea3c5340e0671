"""What a look at one database comes to: the report of ``diagnose``, with its one recommendation."""

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
    """What is pending on one database, and the one thing to do.

    Args:
        applied: the proof of what counts as applied, where that is in doubt.
        logged: what the deployment's log gives to say.
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
    """The causes, without those that what is recommended does away with: what fails on its own work that is there."""
    if advice.action not in {Action.STAMP, Action.COMPLETE}:
        return list(proof.causes)
    there = {one.revision for one in proof.revisions if one.verdict in {Verdict.APPLIED, Verdict.PARTIAL}}
    return [one for one in proof.causes if one.swallowed or one.code or one.revision not in there]


def diagnosis(
    project: Project, view: View, database: Database, proof: Proof, told: tuple[Note, ...], advice: Recommendation
) -> DatabaseReport:
    """The report of one database; `advice` holds unless something stands in the way of acting on it."""
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
        seen = (
            ". To find which revision the schema is at: `alembic-rescue diagnose --locate`"
            if refusals and not hindrances and not proof.revisions
            else ""
        )
        steps = _mending(proof) if first in left_over else ()
        advice = Recommendation(Action.STOP, None, f"{first.message}{seen}", steps)
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
    """What puts right what broke off, and the look after it."""
    return (*(f"{left.sql};" for left in proof.left_over), "alembic-rescue diagnose")


def widened_first(graph: RevisionMap, database: Database, advice: Recommendation) -> Recommendation:
    """The same advice; where the version column cannot hold what it would write, to widen the column before."""
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
    """Whether what counts as applied may not be there: nothing tells why the database is stuck, or that tells it."""
    if any("does not exist" in cause.error for cause in proof.causes):
        return True
    return not proof.causes and all(one.verdict in {Verdict.NOT_APPLIED, Verdict.EMPTY} for one in proof.revisions)


def with_what_is_applied(
    graph: RevisionMap, proof: Proof, applied: Proof, told: tuple[Note, ...], advice: Recommendation
) -> tuple[Proof, tuple[Note, ...], Recommendation]:
    """The same; where something is missing of what counts as applied, that, and what to do about it first."""
    if locating.missing(applied.revisions):
        missing = history.stamped_but_not_there(graph, applied.revisions)
        first = history.recommend_for_applied(applied.revisions)
        return (proof if proof.revisions else applied), (*missing, *told), first
    if proof.revisions or not applied.revisions:
        return proof, told, advice
    unread = history.unchecked(applied.revisions)
    looked = f"and {unread}" if unread else "and nothing is missing"
    return proof, told, replace(advice, reason=f"{advice.reason}, {looked}")


def is_hindered(project: Project, database: Database, proof: Proof) -> bool:
    """Whether something else than its rows stands in the way of a write."""
    others = database.rescue_at_work or inspection.hindrances(project, database)
    return bool(others or findings.left_over(proof) or findings.hindrance(database))


def located(graph: RevisionMap, proof: Proof, vouched: Collection[str] = ()) -> Located:
    """Where the schema stands, by the evidence for all revisions, and by those that a person vouches for."""
    follows = {one.revision: paths.follows(graph, one.revision) for one in proof.revisions}
    return locating.locate(proof.revisions, follows, vouched)


def apart_from_pending(graph: RevisionMap, database: Database, proof: Proof) -> tuple[Proof, tuple[str, ...]]:
    """The proof without bases that never began here and of which nothing is there; and their revisions."""
    not_begun = paths.not_begun(graph, database.stands_at) if proof.revisions else ()  # rows may be unexplained
    of_them = [one for one in proof.revisions if one.revision in not_begun]
    if not of_them or not history.never_ran(of_them):
        return proof, ()
    kept = tuple(one for one in proof.revisions if one.revision not in not_begun)
    return replace(proof, revisions=kept), tuple(one.revision for one in of_them)


def after_breaking_off(graph: RevisionMap, database: Database, proof: Proof) -> Recommendation | None:
    """What to do about what broke off there; None where nothing did."""
    if (broke_off := database.broke_off) is None:
        return None
    ends = [[row for row in rows if scripts.has(graph, row)] for rows in (broke_off.rows_after, broke_off.rows_before)]
    skipped = paths.up_to(graph, ends[0]) - paths.up_to(graph, ends[1])
    return history.recommend_after_breaking_off(broke_off, [one for one in proof.revisions if one.revision in skipped])


def stamped_first(graph: RevisionMap, part: DatabaseReport, proof: Proof) -> DatabaseReport:
    """The report of a rehearsal; one that fails on what is there already says what is to be done in place of a fix."""
    if part.rehearsal is None or not part.rehearsal.fails:
        return part
    if proof.left_over:
        return _mended_first(part, part.rehearsal, proof)
    advice = advising.advise(graph, part.database.stands_at, proof)
    there = advice.action in {Action.STAMP, Action.COMPLETE} or advice.choices
    return replace(part, recommendation=advice) if there else part


def _mended_first(part: DatabaseReport, found: Rehearsal, proof: Proof) -> DatabaseReport:
    """The same, where something broke off before: no migration is to blame for failing on what that left over."""

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
