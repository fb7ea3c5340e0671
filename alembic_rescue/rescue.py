"""The verbs: :func:`diagnose`, :func:`plan`, :func:`stamp`, :func:`undo`.  Read this module as the story.

config -> databases -> path -> plan -> stamp -> verify.  Nothing here prints; what is refused is raised, or stands
in the report that is returned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from alembic.script.revision import RevisionMap

from alembic_rescue import errors, findings, gate, history, inspection, selection, undoing
from alembic_rescue.client import Project
from alembic_rescue.errors import Refusal
from alembic_rescue.evidence import locating
from alembic_rescue.evidence.model import Proof
from alembic_rescue.evidence.recommending import recommend
from alembic_rescue.gate import Acceptance
from alembic_rescue.graph import path as paths
from alembic_rescue.graph import scripts
from alembic_rescue.inspection import Choose, View
from alembic_rescue.model import (
    Action,
    BrokenOff,
    Database,
    DatabaseReport,
    Note,
    Outcome,
    Receipt,
    Recommendation,
    Report,
    Revision,
    Target,
)
from alembic_rescue.proof import Proved, prove
from alembic_rescue.records import receipts, seal
from alembic_rescue.records.plans import SealedPlan
from alembic_rescue.stamping import carry_out

Confirm = Callable[[Report], bool]
"""Shown the plan before anything is written; only True goes on."""


def diagnose(project: Project, *, only: str | None = None, folder: Path | None = None) -> Report:
    """Where each database stands, what is pending and what of it is there, who blocks, and the one thing to do.

    Writes nothing.

    Args:
        only: the one database that is meant, where env.py visits several: see :mod:`alembic_rescue.selection`.
        folder: where receipts are kept, by default the project's own: one of them may tell what broke off.

    Raises:
        RescueError: the scripts, env.py or the database cannot be read.
    """
    view = inspection.look(project, only, _kept(project, folder))
    parts = []
    for database, proved in _proved(project, view, inspection.pending, tried=True):
        proof, apart = _told_apart_from_pending(view.graph, database, proved)
        advice = recommend(proof.revisions, proof.causes, transactional=proof.transactional)
        advice = history.on_each_branch(view.graph, database.stands_at, proof.revisions, advice)
        told = (*findings.limits(database, proof), *findings.causes(proof.causes))
        if apart:
            told = (*told, findings.not_begun(apart, paths.rows_after(view.graph, (), apart)))
        part = _diagnosis(project, view, database, proof, told, advice)
        pending = tuple(revision for revision in part.pending_after if revision not in apart)
        parts.append(replace(part, causes=proof.causes, pending_after=pending))
    return _diagnosed(view, parts, only)


def diagnose_applied(project: Project, *, only: str | None = None, folder: Path | None = None) -> Report:
    """Hold the revisions at or below the current heads against the catalog: what was stamped but is not there.

    Writes nothing.

    Raises:
        RescueError: as :func:`diagnose`.
    """
    view = inspection.look(project, only, _kept(project, folder))
    parts = []
    for database, proof in _proved(project, view, inspection.applied, besides=inspection.pending):
        missing = history.stamped_but_not_there(proof.revisions)
        parts.append(
            _diagnosis(project, view, database, proof, missing, history.recommend_for_applied(proof.revisions))
        )
    return _diagnosed(view, parts, only)


def locate(project: Project, *, only: str | None = None, folder: Path | None = None) -> Report:
    """Which revision each schema is really at, for a lost, empty or wrong version table.  Writes nothing.

    Raises:
        RescueError: as :func:`diagnose`.
    """
    view = inspection.look(project, only, _kept(project, folder))
    parts = []
    for database, proof in _proved(project, view, inspection.every):
        follows = {one.revision: paths.follows(view.graph, one.revision) for one in proof.revisions}
        located = locating.locate(proof.revisions, follows)
        advice = history.recommend_for_located(view.graph, proof.revisions, located, database.current_heads)
        part = _diagnosis(project, view, database, proof, (), advice)
        # Rows that the scripts cannot explain are what it is asked for, not what stops it.
        advice = _after_breaking_off(view.graph, database, proof) or advice
        parts.append(replace(part, located=located, recommendation=advice))
    return _diagnosed(view, parts, only)


def plan(
    project: Project,
    target: str,
    *,
    accept: Sequence[str] = (),
    accept_missing: Sequence[str] = (),
    only: str | None = None,
    folder: Path | None = None,
) -> Report:
    """Everything that :func:`stamp` would check and do.  Writes nothing.

    Args:
        target: a revision, as ``alembic upgrade`` takes it: full or partial id, ``head``, ``+1``, ``branch@head``.
        accept: skipped revisions whose doing cannot be checked and for which a person vouches; ids or partial ids.
        accept_missing: skipped revisions of which something is missing, and a person does without it.
        only: see :func:`diagnose`; the others are left as they are.
        folder: see :func:`diagnose`.

    Returns:
        A report whose outcome is READY, NOTHING_TO_DO or REFUSED; in the last case it holds every refusal.

    Raises:
        RescueError: nothing could be planned, because the scripts, env.py or the database cannot be read, or
            because the database takes no writes from this role.
    """
    view = inspection.look(project, only, _kept(project, folder))
    accepted = Acceptance(
        frozenset(scripts.resolved(view.graph, name) for name in accept),
        frozenset(scripts.resolved(view.graph, name) for name in accept_missing),
    )
    proved = _proved(project, view, inspection.pending, tried=True)
    parts = _told_apart([_plan_one(project, view, database, proof, target, accepted) for database, proof in proved])
    target_ = _target(view.graph, target, parts)
    heads = scripts.heads(view.graph)
    report = Report("plan", _outcome(parts), target_, heads, tuple(parts), only=only, left_out=view.left_out)
    if report.outcome is Outcome.READY:
        _raise_if_not_writable(parts)
    return replace(report, fingerprint=seal.digest(seal.parts(report)))


def stamp(
    project: Project,
    target: str,
    *,
    confirm: Confirm,
    folder: Path,
    reason: str = "",
    accept: Sequence[str] = (),
    accept_missing: Sequence[str] = (),
    only: str | None = None,
    sealed: SealedPlan | None = None,
) -> Report:
    """Plan, confirm, stamp, verify, and leave a receipt.

    Args:
        confirm: is shown the plan, and decides.
        folder: where receipts are kept.
        reason: why, for the receipt.
        accept, accept_missing, only: see :func:`plan`; what was accepted is kept in the receipt.
        sealed: a plan as it was approved; refuses if anything moved.

    Returns:
        A report whose outcome is STAMPED or NOTHING_TO_DO.

    Raises:
        PlanRefused: the plan holds refusals.
        PlanChanged, NotConfirmed, RescueUnderWay, DatabaseMoved, DatabaseChanged: refused later, nothing written.
        ReceiptNotWritten: the receipt cannot be put on disk, nothing written.
        NotVerified: written, but what was read back is not what was expected.
        HalfWritten: of several databases, some were written; the receipt tells which.
        DatabaseError: see there; nothing written.
    """
    planned = plan(project, target, accept=accept, accept_missing=accept_missing, only=only, folder=folder)
    planned = replace(planned, command="stamp", reason=project.secrets.hide(reason))
    done = planned.outcome is Outcome.NOTHING_TO_DO
    if sealed is not None and not (done and seal.is_carried_out(sealed.parts, planned)):
        seal.check(sealed.name, sealed.parts, planned)
    if planned.outcome is Outcome.REFUSED:
        raise errors.PlanRefused(planned)
    if done:
        return planned
    if not confirm(planned):
        raise errors.NotConfirmed
    receipt = carry_out(project, planned, folder, reason=reason, target=target, undoes=None)
    return _done(planned, Outcome.STAMPED, receipt)


def undo(
    project: Project,
    named: str | None = None,
    *,
    confirm: Confirm,
    folder: Path,
    reason: str = "",
    only: str | None = None,
) -> Report:
    """Put back the rows of the last receipt of what env.py visits, or of the one that is `named`.

    Exactly what the receipt's stamp wrote is taken back, of the databases that `only` leaves.  One that broke off is
    gone on with.

    Returns:
        A report whose outcome is UNDONE; NOTHING_TO_DO where an undo whose end nobody saw had taken it all back.

    Raises:
        NoReceipt, BadReceipt, ReceiptIsUndo, ReceiptSpent, ReceiptOfOtherDatabase: there is none to undo.
        DatabaseMovedOn, NothingStamped: a database does not stand where the receipt left it.
        RescueError: as :func:`stamp`.
    """
    kept = receipts.listed(folder)
    view = inspection.look(project, only, kept)
    graph, seen = view.graph, view.databases
    receipt = undoing.receipt_to_undo(kept, folder, named, seen)
    parts = []
    for database, part in undoing.to_undo(kept, receipt, seen, only):
        refusals = _hindrances(project, database)
        try:
            parts.append(undoing.way_back(graph, database, receipt, part, refusals))
        except Refusal as refusal:
            raise selection.naming(database, refusal) if len(receipt.parts) > 1 else refusal from None
    outcome = Outcome.REFUSED if any(part.refusals for part in parts) else Outcome.READY
    if not any(part.stamps for part in parts):
        if not any(later.undoes == receipt.id for later in kept):
            one = receipt.parts[0]
            raise errors.NothingStamped(receipt.id, one.rows_before, parts[0].database.current_heads)
        outcome = Outcome.NOTHING_TO_DO
    left_out = view.without([part.database for part in parts])
    heads = scripts.heads(graph)
    planned = Report("undo", outcome, None, heads, tuple(parts), receipt=receipt.path, only=only, left_out=left_out)
    if outcome is Outcome.REFUSED:
        raise errors.PlanRefused(planned)
    if outcome is Outcome.NOTHING_TO_DO:
        return replace(planned, receipt=None)
    _raise_if_not_writable(parts)
    if not confirm(planned):
        raise errors.NotConfirmed
    done = carry_out(project, planned, folder, reason=reason, target=receipt.target, undoes=receipt.id)
    return _done(planned, Outcome.UNDONE, done)


def _done(planned: Report, outcome: Outcome, receipt: Receipt) -> Report:
    """The report of what was planned, with the databases as the receipt says that they are now."""
    now = {part.database.rows_key: part.rows_after for part in receipt.parts}
    after = (
        replace(part, database=replace(part.database, current_heads=now[part.database.identity.rows_key]))
        if part.database.identity.rows_key in now
        else part
        for part in planned.databases
    )
    return replace(planned, outcome=outcome, databases=tuple(after), receipt=receipt.path)


def _kept(project: Project, folder: Path | None) -> list[Receipt]:
    return receipts.listed(folder or receipts.folder_of(project.settings))


# --- diagnosing ---------------------------------------------------------------------------------------------------


def _proved(project: Project, view: View, choose: Choose, **more: Any) -> list[tuple[Database, Proof]]:
    """Each database that is meant, with the evidence, and with what is to be said about env.py there."""
    return [(_as_found(one), one.proof) for one in prove(project, view, choose, **more)]


def _as_found(one: Proved) -> Database:
    database = one.visited.database
    known = {blocker.pid for blocker in one.blockers}
    blockers = (*one.blockers, *(blocker for blocker in database.blockers if blocker.pid not in known))
    return replace(database, remarks=(*one.visited.remarks, *one.notes), blockers=blockers)


def _diagnosed(view: View, parts: Sequence[DatabaseReport], only: str | None) -> Report:
    told, heads = tuple(_told_apart(parts)), scripts.heads(view.graph)
    return Report("diagnose", Outcome.READY, None, heads, told, only=only, left_out=view.left_out)


def _told_apart(parts: Sequence[DatabaseReport]) -> list[DatabaseReport]:
    """Where there are several databases, each refusal names its own."""
    if len(parts) == 1:
        return list(parts)
    return [
        replace(
            part,
            refusals=tuple(
                replace(note, message=f"{selection.told(part.database)}: {note.message}") for note in part.refusals
            ),
        )
        for part in parts
    ]


def _diagnosis(
    project: Project, view: View, database: Database, proof: Proof, told: tuple[Note, ...], advice: Recommendation
) -> DatabaseReport:
    """The report of one database; `advice` holds unless something stands in the way of acting on it."""
    graph = view.graph
    refusals = inspection.refusal_of(partial(paths.check_current, graph, database.stands_at))
    hindrances = (*_hindrances(project, database), *findings.left_over(proof))
    advice = _after_breaking_off(graph, database, proof) or advice
    if unwritable := findings.hindrance(database):
        hindrances = (*hindrances, findings.note(unwritable))
    if refusals or hindrances:
        advice = Recommendation(Action.STOP, None, (*refusals, *hindrances)[0].message)
    return DatabaseReport(
        database=database,
        revisions=_with_evidence(graph, paths.in_order(graph, {one.revision for one in proof.revisions}), proof),
        heads_after=database.current_heads,
        stamps=(),
        pending_after=inspection.pending(graph, database),
        refusals=refusals,
        findings=(*findings.of(database), *told, *hindrances),
        recommendation=advice,
    )


def _told_apart_from_pending(graph: RevisionMap, database: Database, proof: Proof) -> tuple[Proof, tuple[str, ...]]:
    """The proof without bases that never began here and of which nothing is there; and their revisions."""
    not_begun = paths.not_begun(graph, database.stands_at) if proof.revisions else ()  # rows may be unexplained
    of_them = [one for one in proof.revisions if one.revision in not_begun]
    if not of_them or not history.never_ran(of_them):
        return proof, ()
    kept = tuple(one for one in proof.revisions if one.revision not in not_begun)
    return replace(proof, revisions=kept), tuple(one.revision for one in of_them)


def _after_breaking_off(graph: RevisionMap, database: Database, proof: Proof) -> Recommendation | None:
    if (broke_off := database.broke_off) is None:
        return None
    ends = [[row for row in rows if scripts.has(graph, row)] for rows in (broke_off.rows_after, broke_off.rows_before)]
    skipped = paths.up_to(graph, ends[0]) - paths.up_to(graph, ends[1])
    return history.recommend_after_breaking_off(broke_off, [one for one in proof.revisions if one.revision in skipped])


def _with_evidence(graph: RevisionMap, ids: Sequence[str], proof: Proof) -> tuple[Revision, ...]:
    evidence = {found.revision: found for found in proof.revisions}
    return tuple(
        replace(revision, verdict=found.verdict, objects=found.objects, cancelled_by=found.cancelled_by)
        for revision in scripts.revisions(graph, ids)
        for found in [evidence[revision.revision]]
    )


def _raise_if_not_writable(parts: Sequence[DatabaseReport]) -> None:
    for part in parts:
        if part.stamps and (error := findings.hindrance(part.database)):
            raise error


def _hindrances(project: Project, database: Database) -> tuple[Note, ...]:
    """Refusals that have nothing to do with revisions; where ``--url`` is given, the choice of a database is made."""
    others = () if project.loaded.has_url else findings.other_database(database, os.environ)
    at_work = database.rescue_at_work
    return (*others, findings.note(errors.RescueUnderWay(database.identity.name))) if at_work else others


def _going_on(graph: RevisionMap, database: Database, broke_off: BrokenOff, path: paths.Path) -> paths.Path:
    """The path from the rows as they are.  Only the end that was meant can be gone on to."""
    if path.heads_after != broke_off.rows_after:
        raise findings.broke_off(database, broke_off)
    return replace(path, stamps=paths.find_stamps(graph, database.current_heads, path.heads_after))


# --- planning ----------------------------------------------------------------------------------------------------


def _plan_one(
    project: Project, view: View, database: Database, proof: Proof, target: str, accepted: Acceptance
) -> DatabaseReport:
    graph = view.graph
    refusals: tuple[Note, ...] = (*_hindrances(project, database), *findings.left_over(proof))
    path: paths.Path | None = None
    skipped: tuple[Revision, ...] = ()
    try:
        path = paths.find_path(graph, database.stands_at, target)
        if database.broke_off:
            path = _going_on(graph, database, database.broke_off, path)
        paths.check_length(path.heads_after, database.id_limit)
        skipped = gate.judged(_with_evidence(graph, path.skipped, proof), accepted)
        refusals = (*refusals, *(findings.note(refusal) for refusal in gate.refusals(skipped, accepted)))
    except Refusal as refusal:
        refusals = (*refusals, findings.note(refusal))
    if path and path.nothing_to_do and not refusals:
        advice = Recommendation(Action.NOTHING, None, "the database stands there already")
    elif refusals and (proof.left_over or not skipped):
        advice = Recommendation(Action.STOP, None, refusals[0].message)
    else:
        advice = recommend(proof.revisions, proof.causes, transactional=proof.transactional)
        advice = history.on_each_branch(graph, database.stands_at, proof.revisions, advice)
    more_rows = findings.more_rows(database.stands_at, path.heads_after) if path and path.stamps else ()
    return DatabaseReport(
        database=database,
        revisions=skipped,
        heads_after=path.heads_after if path and path.stamps else database.current_heads,
        stamps=path.stamps if path else (),
        pending_after=path.pending_after if path else (),
        refusals=refusals,
        findings=(*findings.of(database), *more_rows, *findings.limits(database, proof), *findings.of_stamp(database)),
        recommendation=advice,
        causes=proof.causes,
    )


def _outcome(parts: Sequence[DatabaseReport]) -> Outcome:
    if any(part.refusals for part in parts):
        return Outcome.REFUSED
    return Outcome.READY if any(part.stamps for part in parts) else Outcome.NOTHING_TO_DO


def _target(graph: RevisionMap, asked: str, parts: Sequence[DatabaseReport]) -> Target | None:
    """What the target stands for in the first database that has a path to it; None where none has."""
    for part in parts:
        with suppress(Refusal):
            found = paths.find_path(graph, part.database.stands_at, asked).targets
            return Target(asked, found, scripts.revisions(graph, found)[0].doc if len(found) == 1 else None)
    return None
