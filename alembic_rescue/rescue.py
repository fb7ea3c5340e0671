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
from sqlalchemy.engine import Connection

from alembic_rescue import databases, environment, errors, receipts, scripts, seal, sessions, urls
from alembic_rescue import path as paths
from alembic_rescue.environment import Tell, silent
from alembic_rescue.errors import Refusal, RescueError
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
    Stamp,
    Target,
)
from alembic_rescue.project import Project

Confirm = Callable[[Report], bool]
"""Shown the plan before anything is written; only True goes on."""


def diagnose(project: Project, tell: Tell = silent) -> Report:
    """Where each database stands, what is pending, who blocks, and the one thing to do.  Writes nothing.

    Raises:
        RescueError: the scripts, env.py or the database cannot be read.
    """
    graph = project.graph
    parts = []
    for database in _look(project, tell):
        refusals = _refusal_of(partial(paths.check_current, graph, database.current_heads))
        todo = () if refusals else paths.pending(graph, database.current_heads)
        findings = (*_findings(database), *_hindrances(database), *_other_database(project, database))
        parts.append(
            DatabaseReport(
                database=database,
                revisions=scripts.revisions(graph, todo),
                heads_after=database.current_heads,
                stamps=(),
                pending_after=todo,
                refusals=refusals,
                findings=findings,
                recommendation=_recommend((*refusals, *_other_database(project, database)), todo),
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
    seen = _look(project, tell)
    for database in seen:
        _raise_if_not_writable(database)
    parts = [_plan_one(project, graph, database, target) for database in seen]
    if len(parts) > 1:
        several = _note(errors.SeveralDatabases([database.identity.name for database in seen]))
        parts = [replace(part, refusals=(*part.refusals, several)) for part in parts]
    report = Report(
        "plan", _outcome(parts), _target(graph, target, parts), scripts.heads(graph), tuple(part for part in parts)
    )
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
    if sealed is not None and (moved := seal.differences(sealed[1], seal.parts(planned))):
        raise errors.PlanChanged(sealed[0], moved)
    if planned.outcome is Outcome.REFUSED:
        raise errors.PlanRefused(planned)
    if planned.outcome is Outcome.NOTHING_TO_DO:
        return planned
    if not confirm(planned):
        raise errors.NotConfirmed
    (part,) = planned.databases
    receipt = _carry_out(project, planned, folder, reason=reason, target=target, undoes=None, tell=tell)
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
    seen = _look(project, tell)
    if len(seen) > 1:
        raise errors.SeveralDatabases([database.identity.name for database in seen])
    (database,) = seen
    _raise_if_not_writable(database)
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
    if not confirm(planned):
        raise errors.NotConfirmed
    done = _carry_out(project, planned, folder, reason=reason, target=receipt.target, undoes=receipt.id, tell=tell)
    after = replace(planned.databases[0], database=replace(database, current_heads=done.rows_after))
    return replace(planned, outcome=Outcome.UNDONE, databases=(after,), receipt=done.path)


# --- looking -----------------------------------------------------------------------------------------------------


def _look(project: Project, tell: Tell) -> list[Database]:
    return environment.look(project, lambda context, rows: databases.look_at(context, rows, project.secrets.hide), tell)


def _raise_if_not_writable(database: Database) -> None:
    identity = database.identity
    if database.read_only:
        raise errors.ReadOnlyServer(identity.name, database.read_only)
    if database.missing_privileges:
        raise errors.PermissionDenied(identity.role or "in use", errors.listed(database.missing_privileges))


def _findings(database: Database) -> tuple[Note, ...]:
    """What a person should know, though it refuses nothing."""
    table = database.identity.table
    found = []
    if not database.version_table_exists:
        found.append(
            Note(
                "version-table-missing",
                f"there is no version table {table}: for Alembic nothing is applied (base)",
                "if migrations did run here, this is the wrong database, schema or table name; "
                "a stamp would mark every revision up to the target as applied",
            )
        )
    elif not database.current_heads:
        found.append(
            Note(
                "version-table-empty",
                f"the version table {table} has no row: for Alembic nothing is applied (base)",
                "if migrations did run here, the row was lost; "
                "a stamp would mark every revision up to the target as applied",
            )
        )
    if database.pooled:
        found.append(
            Note(
                "behind-a-pooler",
                f"a connection pooler stands between here and {database.identity.name}",
                "no setting of its sessions is touched, each transaction is held read-only instead. Where there is a "
                "direct address (often port 5432 instead of 6543), prefer it: --url",
            )
        )
    found += [
        Note(
            "blocked",
            f"session {blocker.pid} ({blocker.state}, {blocker.application}) holds a lock on {table}",
            f"a stamp would wait for it and give up; to end that session: {blocker.end_command}",
        )
        for blocker in database.blockers
        if blocker.blocks
    ]
    return tuple(found)


def _hindrances(database: Database) -> tuple[Note, ...]:
    """What would keep a stamp from being made, told as findings where nothing is to be stamped."""
    try:
        _raise_if_not_writable(database)
    except RescueError as error:
        return (_note(error),)
    return ()


def _other_database(project: Project, database: Database) -> tuple[Note, ...]:
    """The refusal where DATABASE_URL names another database than env.py opened; --url settles it."""
    named = os.environ.get("DATABASE_URL")
    if not named or project.url is not None:
        return ()
    try:
        theirs = urls.with_defaults(urls.parse(named), os.environ)
    except errors.BadUrl:
        return ()
    opened = urls.parse(database.identity.url)
    if urls.same_database(theirs, opened):
        return ()
    return (_note(errors.OtherDatabase("DATABASE_URL", urls.name_of(theirs), urls.name_of(opened))),)


def _recommend(hindrances: Sequence[Note], todo: Sequence[str]) -> Recommendation:
    if hindrances:
        return Recommendation(Action.STOP, None, hindrances[0].message)
    if not todo:
        return Recommendation(Action.NOTHING, None, "the database stands at the latest revision")
    return Recommendation(
        Action.STOP,
        None,
        f"{len(todo)} {'revision is' if len(todo) == 1 else 'revisions are'} pending, and this version does not check "
        "whether what they create is there. Compare by hand: nothing there: mend the migration and run alembic "
        "upgrade; all of it there: alembic-rescue plan REVISION, with the last revision that is there",
    )


# --- planning ----------------------------------------------------------------------------------------------------


def _plan_one(project: Project, graph: RevisionMap, database: Database, target: str) -> DatabaseReport:
    refusals: tuple[Note, ...] = _other_database(project, database)
    path = None
    try:
        path = paths.find_path(graph, database.current_heads, target)
        paths.check_length(path.heads_after, database.id_limit)
    except Refusal as refusal:
        refusals = (*refusals, _note(refusal))
    skipped = scripts.revisions(graph, path.skipped) if path else ()
    findings = (*_findings(database), *_unproved(skipped))
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
        findings=findings,
        recommendation=recommendation,
    )


def _unproved(skipped: Sequence[Revision]) -> tuple[Note, ...]:
    if not skipped:
        return ()
    names = errors.listed(revision.revision for revision in skipped)
    return (
        Note(
            "not-proved",
            f"this version does not check that what {names} would create is there",
            "stamping marks them as applied for ever: if their tables are not there, Alembic will never make them. "
            "Look at the database first",
        ),
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
        return (_note(refusal),)
    return ()


def _note(error: RescueError) -> Note:
    return Note(error.code, error.message, error.help)


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
    if now == before:
        raise errors.NothingStamped(receipt.id, sorted(now))
    if now != after and not broke_off:
        raise errors.DatabaseMovedOn(receipt.rows_after, sorted(now))
    for row in receipt.rows_before:
        if not scripts.has(graph, row):
            raise errors.UnknownRevision(row)
    return DatabaseReport(
        database=database,
        revisions=receipt.skipped,
        heads_after=receipt.rows_before,
        stamps=paths.find_stamps(graph, database.current_heads, receipt.rows_before),
        pending_after=paths.pending(graph, receipt.rows_before),
        refusals=refusals,
        findings=_findings(database),
        recommendation=Recommendation(Action.NOTHING, None, "the rows of the receipt can be put back"),
    )


# --- writing and verifying ---------------------------------------------------------------------------------------


def _carry_out(
    project: Project,
    planned: Report,
    folder: Path,
    *,
    reason: str,
    target: str,
    undoes: str | None,
    tell: Tell,
) -> Receipt:
    """Lock, look again, put the receipt on disk, write, read back.  The only way to a write."""
    (part,) = planned.databases
    lock = sessions.RescueLock()
    receipt: Receipt | None = None
    try:
        tables = environment.look(project, lambda context, _: _look_again(project, part, context, lock), tell)
        receipt = receipts.begin(
            folder,
            planned.command,
            part.database.identity,
            target,
            project.secrets.hide(reason),
            part.database.current_heads,
            part.heads_after,
            part.revisions,
            tables[0],
            undoes,
        )
        return _write(project, planned, receipt, tell)
    except KeyboardInterrupt as interrupt:
        if receipt is None:
            raise errors.Interrupted("nothing was written") from interrupt
        raise
    finally:
        lock.release()


def _look_again(project: Project, part: DatabaseReport, context: MigrationContext, lock: sessions.RescueLock) -> str:
    """Refuse if anything moved since the plan.  Takes the lock first, so that no other rescue can move it after."""
    planned = part.database.identity
    assert context.connection is not None, "online mode has a connection"
    lock.take(context.connection.engine, project.timeouts, planned.name)
    now = databases.look_at(context, context.get_current_heads(), project.secrets.hide)
    if now.identity.key != planned.key:
        raise errors.DatabaseChanged(f"{planned.name} ({planned.table})", f"{now.identity.name} ({now.identity.table})")
    if now.current_heads != part.database.current_heads:
        raise errors.DatabaseMoved(part.database.current_heads, now.current_heads)
    return sessions.qualified(context.dialect, planned.version_table, planned.schema)


def _write(project: Project, planned: Report, receipt: Receipt, tell: Tell) -> Receipt:
    """Make the stamps, then let the rows that a new connection reads decide what came of it."""
    (part,) = planned.databases
    passed: list[Stamp] = []
    failure: BaseException | None = None
    try:
        for stamp_ in part.stamps:

            def last_check(connection: Connection, stamp_: Stamp = stamp_) -> None:
                databases.check_unmoved(connection, part.database.identity, stamp_.rows_before)
                passed.append(stamp_)

            environment.stamp(
                project, stamp_.revisions, part.database.identity.version_table, last_check, tell, purge=stamp_.purge
            )
    except (RescueError, KeyboardInterrupt) as error:
        failure = error
    found, unread = _read_back(project, tell)
    if found is not None and found.current_heads == receipt.rows_after and passed:
        return _completed(receipt, ReceiptState.VERIFIED, found.current_heads)
    receipt = _completed(receipt, ReceiptState.FAILED, found.current_heads if found else None)
    raise _what_failed(planned, receipt, failure, found, unread, written=bool(passed)) from failure


def _what_failed(
    planned: Report,
    receipt: Receipt,
    failure: BaseException | None,
    found: Database | None,
    unread: RescueError | None,
    *,
    written: bool,
) -> RescueError:
    """Nothing written: the failure itself.  Something written, or unknown: not verified."""
    (part,) = planned.databases
    if isinstance(failure, errors.WriteWithoutEffect) and found and found.current_heads != receipt.rows_before:
        failure = errors.DatabaseMoved(receipt.rows_before, found.current_heads)  # between the last check and the write
        written = len(part.stamps) > 1
    untouched = not written or (found is not None and found.current_heads == receipt.rows_before)
    if isinstance(failure, KeyboardInterrupt) and untouched:
        failure = errors.Interrupted("nothing was written")
    if isinstance(failure, RescueError) and untouched:
        if found is not None:
            failure.report = replace(
                planned, outcome=Outcome.ERROR, databases=(replace(part, database=found),), receipt=receipt.path
            )
        return failure
    why = "interrupted" if isinstance(failure, KeyboardInterrupt) else str(failure or unread or "read back")
    if found is not None and not set(found.current_heads) - set(receipt.rows_before) - set(receipt.rows_after):
        why += "; a mixture of the rows before and after: it broke off between two statements"
    rows_found = found.current_heads if found is not None else None
    error = errors.NotVerified(receipt.rows_after, rows_found, why, receipt.sql)
    error.report = replace(planned, outcome=Outcome.ERROR, receipt=receipt.path)
    return error


def _read_back(project: Project, tell: Tell) -> tuple[Database | None, RescueError | None]:
    """What a new connection sees.  Never raises: that it could not be read is a result too."""
    try:
        return _look(project, tell)[0], None
    except RescueError as error:
        return None, error


def _completed(receipt: Receipt, state: ReceiptState, found: Sequence[str] | None) -> Receipt:
    """The receipt with its outcome; where the disk refuses that now, the one as begun still leads back."""
    with suppress(OSError):
        return receipts.complete(receipt, state, found)
    return receipt
