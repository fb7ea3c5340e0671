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

from alembic.script.revision import RevisionMap

from alembic_rescue import databases, errors, findings, receipts, scripts, seal
from alembic_rescue import path as paths
from alembic_rescue.environment import Tell, silent
from alembic_rescue.errors import Refusal
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
    Target,
)
from alembic_rescue.project import Project
from alembic_rescue.writing import carry_out

Confirm = Callable[[Report], bool]
"""Shown the plan before anything is written; only True goes on."""


def diagnose(project: Project, tell: Tell = silent) -> Report:
    """Where each database stands, what is pending, who blocks, and the one thing to do.  Writes nothing.

    Raises:
        RescueError: the scripts, env.py or the database cannot be read.
    """
    graph = project.graph
    parts = []
    for database in databases.look(project, tell):
        refusals = _refusal_of(partial(paths.check_current, graph, database.current_heads))
        todo = () if refusals else paths.pending(graph, database.current_heads)
        hindrances = _other_database(project, database)
        if unwritable := findings.hindrance(database):
            hindrances = (*hindrances, findings.note(unwritable))
        parts.append(
            DatabaseReport(
                database=database,
                revisions=scripts.revisions(graph, todo),
                heads_after=database.current_heads,
                stamps=(),
                pending_after=todo,
                refusals=refusals,
                findings=(*findings.of(database), *hindrances),
                recommendation=findings.recommend((*refusals, *hindrances), todo),
            )
        )
    return Report("diagnose", Outcome.READY, None, scripts.heads(graph), tuple(parts))


def plan(project: Project, target: str, tell: Tell = silent) -> Report:
    """Everything that :func:`stamp` would check and do.  Writes nothing.

    Args:
        target: a revision, as ``alembic upgrade`` takes it: full or partial id, ``head``, ``+1``, ``branch@head``.

    Returns:
        A report whose outcome is READY, NOTHING_TO_DO or REFUSED; in the last case it holds every refusal.

    Raises:
        RescueError: nothing could be planned, because the scripts, env.py or the database cannot be read, or
            because the database takes no writes from this role.
    """
    graph = project.graph
    seen = databases.look(project, tell)
    parts = [_plan_one(project, graph, database, target) for database in seen]
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
    sealed: tuple[str, Mapping[str, Any]] | None = None,
    tell: Tell = silent,
) -> Report:
    """Plan, confirm, stamp, verify, and leave a receipt.

    Args:
        confirm: is shown the plan, and decides.
        folder: where receipts are kept.
        reason: why, for the receipt.
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
    planned = replace(plan(project, target, tell), command="stamp")
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


def _raise_if_not_writable(seen: Sequence[Database]) -> None:
    for database in seen:
        if error := findings.hindrance(database):
            raise error


def _other_database(project: Project, database: Database) -> tuple[Note, ...]:
    """The refusal where DATABASE_URL names another database; with --url the choice is made."""
    return () if project.url is not None else findings.other_database(database, os.environ)


# --- planning ----------------------------------------------------------------------------------------------------


def _plan_one(project: Project, graph: RevisionMap, database: Database, target: str) -> DatabaseReport:
    refusals: tuple[Note, ...] = _other_database(project, database)
    path = None
    try:
        path = paths.find_path(graph, database.current_heads, target)
        paths.check_length(path.heads_after, database.id_limit)
    except Refusal as refusal:
        refusals = (*refusals, findings.note(refusal))
    skipped = scripts.revisions(graph, path.skipped) if path else ()
    if refusals or path is None:
        recommendation = Recommendation(Action.STOP, None, refusals[0].message)
    elif path.nothing_to_do:
        recommendation = Recommendation(Action.NOTHING, None, "the database stands there already")
    else:
        recommendation = Recommendation(
            Action.STOP, path.targets[-1], "not proved: stamp only if you know that what is skipped is there"
        )
    return DatabaseReport(
        database=database,
        revisions=skipped,
        heads_after=path.heads_after if path and path.stamps else database.current_heads,
        stamps=path.stamps if path else (),
        pending_after=path.pending_after if path else (),
        refusals=refusals,
        findings=(*findings.of(database), *findings.unproved(skipped)),
        recommendation=recommendation,
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
