"""The verbs: :func:`diagnose`, :func:`plan`, :func:`stamp`, :func:`undo`.  Read this module as the story.

config -> databases -> path -> plan -> stamp -> verify.  Nothing here prints; what is refused is raised, or stands
in the report that is returned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from alembic.script.revision import RevisionMap

from alembic_rescue import databases, environment, errors, findings, gate, history, receipts, scripts, seal
from alembic_rescue import path as paths
from alembic_rescue.environment import Tell, silent
from alembic_rescue.errors import Refusal
from alembic_rescue.evidence import recommend
from alembic_rescue.gate import Acceptance
from alembic_rescue.model import (
    Action,
    Database,
    DatabaseReport,
    Note,
    Outcome,
    Receipt,
    ReceiptState,
    Recommendation,
    Report,
    Revision,
    Target,
)
from alembic_rescue.model_evidence import Proof
from alembic_rescue.project import Project
from alembic_rescue.proof import prove, without_secrets
from alembic_rescue.writing import carry_out

Confirm = Callable[[Report], bool]
"""Shown the plan before anything is written; only True goes on."""


def diagnose(project: Project, tell: Tell = silent, *, replay: bool = True) -> Report:
    """Where each database stands, what is pending and what of it is there, who blocks, and the one thing to do.

    Writes nothing.

    Args:
        replay: False judges without running migration code: every revision is unverifiable.

    Raises:
        RescueError: the scripts, env.py or the database cannot be read.
    """
    graph = project.graph
    parts = []
    for database, proof in _look(project, partial(_pending, graph), tell, replay=replay):
        advice = recommend(proof.revisions, proof.causes)
        part = _diagnosis(project, database, proof, findings.causes(proof.causes), advice)
        parts.append(replace(part, causes=proof.causes))
    return Report("diagnose", Outcome.READY, None, scripts.heads(graph), tuple(parts))


def diagnose_applied(project: Project, tell: Tell = silent, *, replay: bool = True) -> Report:
    """Hold the revisions at or below the current heads against the catalog: what was stamped but is not there.

    Writes nothing.

    Raises:
        RescueError: as :func:`diagnose`.
    """
    graph = project.graph
    parts = []
    for database, proof in _look(project, partial(_applied, graph), tell, replay=replay):
        missing = history.stamped_but_not_there(proof.revisions)
        parts.append(_diagnosis(project, database, proof, missing, history.recommend_for_applied(proof.revisions)))
    return Report("diagnose", Outcome.READY, None, scripts.heads(graph), tuple(parts))


def locate(project: Project, tell: Tell = silent, *, replay: bool = True) -> Report:
    """Which revision each schema is really at, for a lost, empty or wrong version table.  Writes nothing.

    Raises:
        RescueError: as :func:`diagnose`.
    """
    graph = project.graph
    parts = []
    for database, proof in _look(project, lambda _: paths.pending(graph, ()), tell, replay=replay):
        located = history.locate(graph, proof.revisions)
        advice = history.recommend_for_located(graph, located, database.current_heads)
        part = _diagnosis(project, database, proof, (), advice)
        # Rows that the scripts cannot explain are what it is asked for, not what stops it.
        parts.append(replace(part, located=located, recommendation=advice))
    return Report("diagnose", Outcome.READY, None, scripts.heads(graph), tuple(parts))


def plan(
    project: Project,
    target: str,
    tell: Tell = silent,
    *,
    accept: Sequence[str] = (),
    accept_missing: Sequence[str] = (),
) -> Report:
    """Everything that :func:`stamp` would check and do.  Writes nothing.

    Args:
        target: a revision, as ``alembic upgrade`` takes it: full or partial id, ``head``, ``+1``, ``branch@head``.
        accept: skipped revisions whose doing cannot be checked and for which a person vouches; ids or partial ids.
        accept_missing: skipped revisions of which something is missing, and a person does without it.

    Returns:
        A report whose outcome is READY, NOTHING_TO_DO or REFUSED; in the last case it holds every refusal.

    Raises:
        RescueError: nothing could be planned, because the scripts, env.py or the database cannot be read, or
            because the database takes no writes from this role.
    """
    graph = project.graph
    accepted = Acceptance(
        frozenset(scripts.resolved(graph, name) for name in accept),
        frozenset(scripts.resolved(graph, name) for name in accept_missing),
    )
    looked = _look(project, partial(_pending, graph), tell)
    seen = [database for database, _ in looked]
    parts = [_plan_one(project, database, proof, target, accepted) for database, proof in looked]
    if len(parts) > 1:
        several = findings.note(errors.SeveralDatabases([database.identity.name for database in seen]))
        parts = [replace(part, refusals=(*part.refusals, several)) for part in parts]
    report = Report("plan", _outcome(parts), _target(graph, target, parts), scripts.heads(graph), tuple(parts))
    if report.outcome is Outcome.READY:
        _raise_if_not_writable(seen)
    return replace(report, fingerprint=seal.fingerprint(seal.parts(report)))


def stamp(
    project: Project,
    target: str,
    *,
    confirm: Confirm,
    folder: Path,
    reason: str = "",
    accept: Sequence[str] = (),
    accept_missing: Sequence[str] = (),
    sealed: tuple[str, Mapping[str, Any]] | None = None,
    tell: Tell = silent,
) -> Report:
    """Plan, confirm, stamp, verify, and leave a receipt.

    Args:
        confirm: is shown the plan, and decides.
        folder: where receipts are kept.
        reason: why, for the receipt.
        accept, accept_missing: see :func:`plan`; kept in the receipt.
        sealed: a plan's name and its sealed parts (see :mod:`alembic_rescue.seal`); refuses if anything moved.

    Returns:
        A report whose outcome is STAMPED or NOTHING_TO_DO.

    Raises:
        PlanRefused: the plan holds refusals.
        PlanChanged, NotConfirmed, RescueUnderWay, DatabaseMoved, DatabaseChanged: refused later, nothing written.
        ReceiptNotWritten: the receipt cannot be put on disk, nothing written.
        NotVerified: written, but what was read back is not what was expected.
        DatabaseError: see there; nothing written.
    """
    planned = plan(project, target, tell, accept=accept, accept_missing=accept_missing)
    planned = replace(planned, command="stamp", reason=project.secrets.hide(reason))
    if sealed is not None:
        seal.check(*sealed, planned)
    if planned.outcome is Outcome.REFUSED:
        raise errors.PlanRefused(planned)
    if planned.outcome is Outcome.NOTHING_TO_DO:
        return planned
    if not confirm(planned):
        raise errors.NotConfirmed
    (part,) = planned.databases
    receipt = carry_out(project, planned, folder, reason=reason, target=target, undoes=None, tell=tell)
    after = replace(part, database=replace(part.database, current_heads=receipt.rows_after))
    return replace(planned, outcome=Outcome.STAMPED, databases=(after,), receipt=receipt.path)


def undo(
    project: Project,
    named: str | None = None,
    *,
    confirm: Confirm,
    folder: Path,
    reason: str = "",
    tell: Tell = silent,
) -> Report:
    """Put back the rows of the last receipt of this database, or of the one that is `named`.

    Returns:
        A report whose outcome is UNDONE.

    Raises:
        NoReceipt, BadReceipt, ReceiptIsUndo, ReceiptSpent, ReceiptOfOtherDatabase: there is none to undo.
        DatabaseMovedOn, NothingStamped: the database does not stand where the receipt left it.
        RescueError: as :func:`stamp`.
    """
    graph = project.graph
    seen = databases.look(project, tell)
    if len(seen) > 1:
        raise errors.SeveralDatabases([database.identity.name for database in seen])
    (database,) = seen
    receipt = _receipt_to_undo(folder, named, database)
    refusals = _other_database(project, database)
    planned = Report(
        "undo",
        Outcome.REFUSED if refusals else Outcome.READY,
        None,
        scripts.heads(graph),
        (_way_back(graph, database, receipt, refusals),),
        receipt=receipt.path,
    )
    if refusals:
        raise errors.PlanRefused(planned)
    _raise_if_not_writable(seen)
    if not confirm(planned):
        raise errors.NotConfirmed
    done = carry_out(project, planned, folder, reason=reason, target=receipt.target, undoes=receipt.id, tell=tell)
    after = replace(planned.databases[0], database=replace(database, current_heads=done.rows_after))
    return replace(planned, outcome=Outcome.UNDONE, databases=(after,), receipt=done.path)


# --- looking -----------------------------------------------------------------------------------------------------


def _look(
    project: Project, choose: Callable[[Database], Sequence[str]], tell: Tell, *, replay: bool = True
) -> list[tuple[Database, Proof]]:
    """Look at each database, and hold the revisions that `choose` names for it against its catalog."""

    def see(context: MigrationContext, rows: tuple[str, ...]) -> tuple[Database, Proof]:
        database = databases.look_at(context, rows, project.secrets.hide)
        todo = choose(database)
        ahead = set(todo)
        behind = [revision for revision in _applied(project.graph, database) if revision not in ahead]
        proof = prove(context, project.script, todo, behind=behind if todo else (), run_code=replay)
        return database, without_secrets(proof, project.secrets.hide)

    return environment.look(project, see, tell)


def _pending(graph: RevisionMap, database: Database) -> tuple[str, ...]:
    """What is pending; nothing where the rows cannot be explained."""
    unexplained = _refusal_of(partial(paths.check_current, graph, database.current_heads))
    return () if unexplained else paths.pending(graph, database.current_heads)


def _applied(graph: RevisionMap, database: Database) -> tuple[str, ...]:
    """What counts as applied, in Alembic's order; nothing where the rows cannot be explained."""
    unexplained = _refusal_of(partial(paths.check_current, graph, database.current_heads))
    return () if unexplained else paths.in_order(graph, paths.up_to(graph, database.current_heads))


def _diagnosis(
    project: Project, database: Database, proof: Proof, told: tuple[Note, ...], advice: Recommendation
) -> DatabaseReport:
    """The report of one database; `advice` holds unless something stands in the way of acting on it."""
    graph = project.graph
    refusals = _refusal_of(partial(paths.check_current, graph, database.current_heads))
    hindrances = _other_database(project, database)
    if unwritable := findings.hindrance(database):
        hindrances = (*hindrances, findings.note(unwritable))
    if refusals or hindrances:
        advice = Recommendation(Action.STOP, None, (*refusals, *hindrances)[0].message)
    return DatabaseReport(
        database=database,
        revisions=_with_evidence(graph, [evidence.revision for evidence in proof.revisions], proof),
        heads_after=database.current_heads,
        stamps=(),
        pending_after=_pending(graph, database),
        refusals=refusals,
        findings=(*findings.of(database), *told, *hindrances),
        recommendation=advice,
    )


def _with_evidence(graph: RevisionMap, ids: Sequence[str], proof: Proof) -> tuple[Revision, ...]:
    evidence = {found.revision: found for found in proof.revisions}
    return tuple(
        replace(revision, verdict=found.verdict, objects=found.objects, cancelled_by=found.cancelled_by)
        for revision in scripts.revisions(graph, ids)
        for found in [evidence[revision.revision]]
    )


def _raise_if_not_writable(seen: Sequence[Database]) -> None:
    for database in seen:
        if error := findings.hindrance(database):
            raise error


def _other_database(project: Project, database: Database) -> tuple[Note, ...]:
    """The refusal where DATABASE_URL names another database; with --url the choice is made."""
    return () if project.url is not None else findings.other_database(database, os.environ)


# --- planning ----------------------------------------------------------------------------------------------------


def _plan_one(project: Project, database: Database, proof: Proof, target: str, accepted: Acceptance) -> DatabaseReport:
    graph = project.graph
    refusals: tuple[Note, ...] = _other_database(project, database)
    path: paths.Path | None = None
    skipped: tuple[Revision, ...] = ()
    try:
        path = paths.find_path(graph, database.current_heads, target)
        paths.check_length(path.heads_after, database.id_limit)
        skipped = gate.judged(_with_evidence(graph, path.skipped, proof), accepted)
        refusals = (*refusals, *(findings.note(refusal) for refusal in gate.refusals(skipped, accepted)))
    except Refusal as refusal:
        refusals = (*refusals, findings.note(refusal))
    if path and path.nothing_to_do and not refusals:
        advice = Recommendation(Action.NOTHING, None, "the database stands there already")
    elif refusals and not skipped:
        advice = Recommendation(Action.STOP, None, refusals[0].message)
    else:
        advice = recommend(proof.revisions, proof.causes)
    return DatabaseReport(
        database=database,
        revisions=skipped,
        heads_after=path.heads_after if path and path.stamps else database.current_heads,
        stamps=path.stamps if path else (),
        pending_after=path.pending_after if path else (),
        refusals=refusals,
        findings=findings.of(database),
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
            found = paths.find_path(graph, part.database.current_heads, asked).targets
            return Target(asked, found, scripts.revisions(graph, found)[0].doc if len(found) == 1 else None)
    return None


def _refusal_of(check: Callable[[], None]) -> tuple[Note, ...]:
    try:
        check()
    except Refusal as refusal:
        return (findings.note(refusal),)
    return ()


# --- going back --------------------------------------------------------------------------------------------------


def _receipt_to_undo(folder: Path, named: str | None, database: Database) -> Receipt:
    if named is not None:
        receipt = receipts.find(folder, named)
        if receipt.command == "undo":
            raise errors.ReceiptIsUndo(receipt.id)
        if receipt.database.rows_key != database.identity.rows_key:
            raise errors.ReceiptOfOtherDatabase(receipt.id, receipt.database.name, database.identity.name)
        if by := receipts.undone_by(folder, receipt):
            raise errors.ReceiptSpent(receipt.id, by.id)
        return receipt
    found = receipts.last_to_undo(folder, database.identity)
    if found is None:
        raise errors.NoReceipt(f"of a stamp of {database.identity.name} that could be undone", str(folder))
    return found


def _way_back(graph: RevisionMap, database: Database, receipt: Receipt, refusals: tuple[Note, ...]) -> DatabaseReport:
    now, before, after = set(database.current_heads), set(receipt.rows_before), set(receipt.rows_after)
    # A stamp that broke off between two statements leaves rows of both.
    broke_off = receipt.state is not ReceiptState.VERIFIED and now <= before | after
    as_read_back = receipt.rows_found is not None and now == set(receipt.rows_found)
    if now == before or receipt.state is ReceiptState.NOT_WRITTEN:
        raise errors.NothingStamped(receipt.id, receipt.rows_before, sorted(now))
    if now != after and not broke_off and not as_read_back:
        raise errors.DatabaseMovedOn(receipt.rows_after, sorted(now))
    back = receipts.way_back(receipt.rows_before, receipt.rows_after, database.current_heads)
    for row in back:
        if not scripts.has(graph, row):
            raise errors.UnknownRevision(row)
    return DatabaseReport(
        database=database,
        revisions=receipt.skipped,
        heads_after=back,
        stamps=paths.find_stamps(graph, database.current_heads, back),
        pending_after=paths.pending(graph, back),
        refusals=refusals,
        findings=findings.of(database),
        recommendation=Recommendation(Action.NOTHING, None, "the rows of the receipt can be put back"),
    )
