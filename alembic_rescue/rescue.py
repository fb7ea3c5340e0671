"""The commands as functions: :func:`diagnose`, :func:`plan`, :func:`stamp`, :func:`undo`.  Start reading here.

config -> databases -> path -> plan -> stamp -> verify.  Nothing here prints.  A refusal is raised, or is part of the
returned report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from alembic_rescue import (
    advising,
    completing,
    diagnosing,
    errors,
    excerpts,
    history,
    inspection,
    logged,
    planning,
    recovering,
    rehearsal,
    repairing,
    scripting,
    selection,
    undoing,
    waiting,
)
from alembic_rescue.client import Project
from alembic_rescue.deploying import settings as deploying
from alembic_rescue.evidence.logs.values import DeploymentLog
from alembic_rescue.evidence.model import Proof
from alembic_rescue.gate import Acceptance
from alembic_rescue.graph import scripts
from alembic_rescue.inspection import Choose, View
from alembic_rescue.model import (
    ROWS,
    Database,
    DatabaseReport,
    Outcome,
    Receipt,
    ReceiptState,
    Report,
    Target,
)
from alembic_rescue.proof import prove
from alembic_rescue.records import receipts, seal
from alembic_rescue.records.plans import SealedPlan
from alembic_rescue.scratch.bench import Bench
from alembic_rescue.scripting import Script
from alembic_rescue.stamping import carry_out

Confirm = Callable[[Report], bool]
"""Called with the plan before anything is written.  Only True lets the write proceed."""


def diagnose(
    project: Project, *, only: str | None = None, folder: Path | None = None, log: DeploymentLog | None = None
) -> Report:
    """Report where each database stands, what is pending, what of it exists, who blocks, and the one thing to do.

    Writes nothing.

    Args:
        only: the one database to look at, where env.py visits several: see :mod:`alembic_rescue.selection`.
        folder: the receipts folder, by default the project's own.  A receipt may show what was interrupted.
        log: the deployment's log, as :func:`alembic_rescue.read_log` returns it; compared with the evidence.

    Raises:
        RescueError: the scripts, env.py or the database cannot be read.
    """
    view = inspection.look(project, only, _kept(project, folder))
    lost = recovering.look_further(project, view)
    log = log and logged.without_secrets(log, project.secrets)
    parts = []
    with Bench(project) as bench:
        found = _proved(project, view, inspection.pending, tried=True, bench=bench)
        doubted = [database.identity.rows_key for database, proof in found if diagnosing.is_doubted(proof)]
        before = inspection.applied_on(doubted)
        behind = _by_key(_proved(project, view, before, besides=inspection.pending, bench=bench))
        by_log = logged.held_against(log, view.graph, found) if log else [(proof.causes, ()) for _, proof in found]
        for (database, proof), (causes, logged_) in zip(found, by_log, strict=True):
            applied = behind[database.identity.rows_key] if database.identity.rows_key in doubted else None
            part = diagnosing.of_pending(project, view, database, replace(proof, causes=causes), applied, logged_)
            both = replace(proof, revisions=(*(applied.revisions if applied else ()), *proof.revisions))
            part = completing.in_place_of_what_is_refused(project, view, part, both, bench)
            parts.append(lost.diagnosed(part))
    return replace(_diagnosed(project, view, parts, only), log=log)


def diagnose_applied(project: Project, *, only: str | None = None, folder: Path | None = None) -> Report:
    """Check the revisions at or below the current heads against the catalog, to find what is stamped but missing.

    Writes nothing.

    Raises:
        RescueError: as :func:`diagnose`.
    """
    view = inspection.look(project, only, _kept(project, folder))
    lost = recovering.look_further(project, view)
    parts = []
    with Bench(project) as bench:
        for database, proof in _proved(project, view, inspection.applied, besides=inspection.pending, bench=bench):
            missing = history.stamped_but_not_there(view.graph, proof.revisions)
            advice = history.recommend_for_applied(proof.revisions)
            part = diagnosing.diagnosis(project, view, database, proof, missing, advice)
            part = completing.in_place_of_what_is_refused(project, view, part, proof, bench)
            parts.append(lost.diagnosed(part))
    return _diagnosed(project, view, parts, only)


def locate(project: Project, *, only: str | None = None, folder: Path | None = None) -> Report:
    """Find which revision each schema is really at, for a lost, empty or wrong version table.  Writes nothing.

    Raises:
        RescueError: as :func:`diagnose`.
    """
    view = inspection.look(project, only, _kept(project, folder))
    lost = recovering.look_for(project, view)
    parts = []
    for database, proof in _proved(project, view, inspection.every):
        located = diagnosing.located(view.graph, proof)
        advice = history.recommend_for_located(view.graph, proof.revisions, located, database.current_heads)
        advice = diagnosing.widened_first(view.graph, database, advice)
        part = diagnosing.diagnosis(project, view, database, proof, (), advice)
        if diagnosing.is_hindered(project, database, proof):
            advice = part.recommendation
        else:  # locate is there to explain rows that the scripts cannot: they do not stop it
            besides = lost.hindrances(database, proof)
            mended = repairing.plan_one(project, view.graph, database, proof, Acceptance(), besides)
            advice = diagnosing.after_breaking_off(view.graph, database, proof) or repairing.instead_of(advice, mended)
        parts.append(lost.told(replace(part, located=located, recommendation=advice), proof))
    return _diagnosed(project, view, parts, only)


def plan(
    project: Project,
    target: str,
    *,
    accept: Sequence[str] = (),
    accept_missing: Sequence[str] = (),
    only: str | None = None,
    folder: Path | None = None,
) -> Report:
    """Plan a stamp: everything that :func:`stamp` would check and do.  Writes nothing.

    Args:
        target: a revision, as ``alembic upgrade`` takes it: full or partial id, ``head``, ``+1``, ``branch@head``.
        accept: skipped revisions that cannot be verified and that a person vouches for; ids or partial ids.
        accept_missing: skipped revisions with something missing that a person can do without.
        only: see :func:`diagnose`; the other databases are left alone.
        folder: see :func:`diagnose`.

    Returns:
        A report whose outcome is READY, NOTHING_TO_DO or REFUSED.  If REFUSED, it holds every refusal.

    Raises:
        RescueError: no plan could be made, because the scripts, env.py or the database cannot be read, or because
            this role cannot write to the database.
    """
    view = inspection.look(project, only, _kept(project, folder))
    accepted = Acceptance(
        frozenset(scripts.resolved(view.graph, name) for name in accept),
        frozenset(scripts.resolved(view.graph, name) for name in accept_missing),
    )
    lost = recovering.look_further(project, view)
    with Bench(project) as bench:
        proved = _proved(project, view, inspection.pending, tried=True, bench=bench)
        parts = _told_apart([lost.told(planning.plan_one(project, view, *found, target, accepted)) for found in proved])
        outcome = planning.outcome(parts)
        if outcome is Outcome.READY:
            planning.raise_if_not_writable(parts)
            parts = rehearsal.of_next(view, parts, bench)
    report = _report(project, view, "plan", outcome, parts, only, target=planning.target_of(view.graph, target, parts))
    return replace(report, fingerprint=seal.digest(seal.parts(report)))


def rehearse(
    project: Project, target: str | None = None, *, only: str | None = None, folder: Path | None = None
) -> Report:
    """Test whether the next ``alembic upgrade`` passes: see :mod:`alembic_rescue.rehearsal`.  Writes nothing.

    Args:
        target: as ``alembic upgrade`` takes it; None rehearses everything that is pending.

    Returns:
        A report whose outcome is PASSES, FAILS, or NOTHING_TO_DO where nothing is pending.

    Raises:
        Refusal: no path leads from a database's current heads to the target.
        NotRehearsed, RowsNotTold: there is no scratch copy to run the migrations on, or the rows could not be checked.
        RescueError: as :func:`diagnose`.
    """
    view = inspection.look(project, only, _kept(project, folder))
    with Bench(project) as bench:
        parts = [rehearsal.of_one(project, view, visited, target, bench) for visited in view.meant]
        if any(part.rehearsal and part.rehearsal.fails for part in parts):
            found = _proved(project, view, inspection.pending, tried=True, bench=bench)
            parts = [
                diagnosing.stamped_first(view.graph, part, proof) for part, (_, proof) in zip(parts, found, strict=True)
            ]
    return rehearsal.judged(_report(project, view, "rehearse", Outcome.PASSES, selection.addressed(parts, only), only))


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
        confirm: called with the plan; decides whether to write.
        folder: the receipts folder.
        reason: why, for the receipt.
        accept, accept_missing, only: see :func:`plan`; the receipt records what was accepted.
        sealed: the approved plan; stamp refuses if anything has changed since.

    Returns:
        A report whose outcome is STAMPED or NOTHING_TO_DO.

    Raises:
        PlanRefused: the plan holds refusals.
        PlanChanged, NotConfirmed, RescueUnderWay, DatabaseMoved, DatabaseChanged: refused later; nothing was written.
        ReceiptNotWritten: the receipt cannot be written to disk; nothing was written to the database.
        NotVerified: the stamp was written, but the rows read back are not the expected ones.
        HalfWritten: of several databases, only some were written; the receipt says which.
        DatabaseError: see there; nothing was written.
    """
    planned = plan(project, target, accept=accept, accept_missing=accept_missing, only=only, folder=folder)
    planned = _before_writing(project, replace(planned, command="stamp"), reason)
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


def script(
    project: Project,
    target: str,
    shell: str,
    *,
    accept: Sequence[str] = (),
    accept_missing: Sequence[str] = (),
    only: str | None = None,
    folder: Path | None = None,
    reason: str = "",
    upgrade: str = "alembic upgrade",
) -> Script:
    """Make the stamp of :func:`stamp` as one file, for a host without Python.  Writes nothing.

    Args:
        shell: ``bash`` or ``psql``.
        accept, accept_missing, only, folder: see :func:`plan`.
        reason: why, for the head of the file.
        upgrade: the project's own upgrade command, to print as the next step.

    Returns:
        The file and the plan's report.  The file has no text where there is nothing to do.

    Raises:
        PlanRefused: the plan holds refusals.
        NoScriptFor, ScriptForOneDatabase, ScriptCannotName, ScriptHoldsSecret, ScriptMoved: see there.
        RescueError: as :func:`plan`.
    """
    planned = plan(project, target, accept=accept, accept_missing=accept_missing, only=only, folder=folder)
    planned = replace(planned, command="script", reason=project.secrets.hide(reason))
    part = scripting.of_one(planned, target, shell)
    if planned.outcome is Outcome.REFUSED:
        raise errors.PlanRefused(planned)
    if planned.outcome is Outcome.NOTHING_TO_DO:
        return Script(planned, shell)
    made_with = scripting.command(target, shell, accept, accept_missing, only)
    made = scripting.script(project, planned, part, shell, made_with, upgrade)
    view = inspection.look(project, only, _kept(project, folder))
    ((_, proof),) = _proved(project, view, inspection.pending)
    if not inspection.is_as_it_was(part.revisions, proof):  # the file's contents were read after the first proof
        raise errors.ScriptMoved
    return made


def complete(
    project: Project,
    revision: str,
    *,
    confirm: Confirm,
    folder: Path,
    reason: str = "",
    only: str | None = None,
) -> Report:
    """Run the statements that a partial revision lacks, and prove it again.  The version table stays as it is.

    Args:
        revision: a pending revision, or one that counts as applied; full or partial id.

    Returns:
        A report whose outcome is COMPLETED, or NOTHING_TO_DO where nothing is missing.

    Raises:
        PlanRefused: there is nothing to complete, or a statement fails on a copy of the schema.
        CompletionFailed: a statement failed on the database; the transaction was rolled back.
        NotCompleted: the statements ran, but something is still missing.
        RescueError: as :func:`stamp`.
    """
    view = inspection.look(project, only, _kept(project, folder))
    chosen = scripts.resolved(view.graph, revision)
    with Bench(project) as bench:
        choose, besides = completing.choosing(chosen)
        proved = _proved(project, view, choose, besides=besides, bench=bench)
        parts = completing.plan_each(project, view, proved, chosen, bench)
        outcome = completing.outcome(parts)
        planned = _before_writing(project, _report(project, view, "complete", outcome, parts, only), reason)
        if outcome is Outcome.REFUSED:
            raise errors.PlanRefused(planned)
        if outcome is Outcome.NOTHING_TO_DO:
            return planned
        if not confirm(planned):
            raise errors.NotConfirmed
        (part,) = (part for part in parts if part.completion is not None)
        key = part.database.identity.rows_key

        def proof_now() -> Proof:
            bench.look_again()
            return _by_key(_proved(project, view, choose, besides=besides, bench=bench))[key]

        completing.unmoved(part, proof_now())
        receipt = completing.carry_out(project, planned, part, folder, reason)
        try:
            done = completing.judged(view, part, proof_now(), receipt)
        except errors.NotCompleted:
            completing.ended(receipt, ReceiptState.FAILED)
            raise
        receipt = completing.ended(receipt, ReceiptState.VERIFIED)
        done = completing.with_next(view, done, bench)
    rest = (done if one is part else one for one in parts)
    return replace(planned, outcome=Outcome.COMPLETED, databases=tuple(rest), receipt=receipt.path)


def repair(
    project: Project,
    *,
    confirm: Confirm,
    folder: Path,
    reason: str = "",
    accept: Sequence[str] = (),
    not_run: Sequence[str] = (),
    only: str | None = None,
) -> Report:
    """Set the rows of a version table to what is proved, where no forward stamp leads there.

    For rows that the scripts cannot explain (an unknown id, one row that builds on another, duplicate or empty rows),
    that claim more than exists, or that are lost.  Goes back only over revisions of which nothing exists.

    Args:
        accept: revisions that cannot be verified, and that a person says ran; ids or partial ids.
        not_run: revisions that may or may not have run, and that a person says did not: Alembic will run them.  Name
            one that the scripts do not have by its full id.

    Returns:
        A report whose outcome is REPAIRED or NOTHING_TO_DO.

    Raises:
        PlanRefused: the right rows are not proved, or a stamp leads to them.
        RescueError: as :func:`stamp`.
    """
    view = inspection.look(project, only, _kept(project, folder))
    lost = recovering.look_for(project, view)
    named = [name for name in not_run if name not in lost.revisions]
    accepted = Acceptance(
        frozenset(scripts.resolved(view.graph, name) for name in accept),
        not_run=frozenset(scripts.resolved(view.graph, name) for name in named),
    )
    vouched = f"{errors.listed(not_run)} did not run (--not-run)" if not_run else ""
    reason = "; ".join(filter(None, [reason, vouched]))
    with Bench(project) as bench:
        parts = repairing.without_what_stamps_mend(
            [
                lost.told(
                    repairing.plan_one(project, view.graph, *found, accepted, lost.hindrances(*found, not_run)),
                    found[1],
                )
                for found in _proved(project, view, inspection.every, bench=bench)
            ]
        )
        parts = _told_apart(parts)
        outcome = planning.outcome(parts)
        if outcome is Outcome.READY:
            parts = rehearsal.of_next(view, parts, bench)
    planned = _before_writing(project, _report(project, view, "repair", outcome, parts, only), reason)
    if planned.outcome is Outcome.REFUSED:
        raise errors.PlanRefused(planned)
    if planned.outcome is Outcome.NOTHING_TO_DO:
        return planned
    planning.raise_if_not_writable(parts)
    if not confirm(planned):
        raise errors.NotConfirmed
    receipt = carry_out(project, planned, folder, reason=reason, target=ROWS, undoes=None)
    return _done(planned, Outcome.REPAIRED, receipt)


def undo(
    project: Project,
    named: str | None = None,
    *,
    confirm: Confirm,
    folder: Path,
    reason: str = "",
    only: str | None = None,
) -> Report:
    """Put back the rows of the last receipt for the databases that env.py visits, or of the receipt `named`.

    Takes back exactly what the receipt's stamp wrote, on the databases that `only` selects.  Continues an undo that
    was interrupted.

    Returns:
        A report whose outcome is UNDONE, or NOTHING_TO_DO where an earlier undo without a recorded end had already
        taken everything back.

    Raises:
        NoReceipt, BadReceipt, ReceiptIsUndo, ReceiptSpent, ReceiptOfOtherDatabase: there is no receipt to undo.
        DatabaseMovedOn, NothingStamped: a database is not where the receipt left it.
        RescueError: as :func:`stamp`.
    """
    kept = receipts.listed(folder)
    view = inspection.look(project, only, kept)
    seen = view.databases
    receipt = undoing.receipt_to_undo(kept, folder, named, seen)
    parts = undoing.plan_each(project, view.graph, kept, receipt, seen, only)
    outcome = undoing.outcome(kept, receipt, parts)
    planned = _report(project, view, "undo", outcome, parts, only)
    planned = replace(planned, receipt=receipt.path, left_out=view.without([part.database for part in parts]))
    if outcome is Outcome.REFUSED:
        raise errors.PlanRefused(planned)
    if outcome is Outcome.NOTHING_TO_DO:
        return replace(planned, receipt=None)
    planning.raise_if_not_writable(parts)
    if not confirm(planned):
        raise errors.NotConfirmed
    done = carry_out(project, planned, folder, reason=reason, target=receipt.target, undoes=receipt.id)
    return _done(planned, Outcome.UNDONE, done)


def wait(
    project: Project,
    target: str = "heads",
    *,
    timeout: float = waiting.TIMEOUT,
    interval: float = waiting.INTERVAL,
    applied: bool = False,
    only: str | None = None,
    folder: Path | None = None,
    told: Callable[[waiting.Seen], None] = waiting.nobody,
) -> Report:
    """Wait until each database is at or past the target: see :mod:`alembic_rescue.waiting`.  Writes nothing.

    Args:
        target: as ``alembic upgrade`` takes it.
        timeout: in seconds.
        interval: seconds between two looks.
        applied: at the end, prove that everything that counts as applied exists.
        told: called with what each look saw.

    Returns:
        A report whose outcome is REACHED.

    Raises:
        WaitTimedOut: the databases did not reach the target in time.
        AppliedMissing, NothingProved: they did, but what counts as applied is missing, or cannot be verified.
        Refusal: the rows of a database lead elsewhere.
        RescueError: as :func:`diagnose`.
    """
    report = waiting.until_there(project, target, timeout=timeout, interval=interval, only=only, told=told)
    return prove_reached(project, report, only=only, folder=folder) if applied else report


def prove_reached(project: Project, reached: Report, *, only: str | None = None, folder: Path | None = None) -> Report:
    """Return the report of :func:`wait`, once everything that counts as applied is proved to exist.

    Raises:
        AppliedMissing, NothingProved: something is missing, or cannot be verified.
        RescueError: as :func:`diagnose`.
    """
    return waiting.proved(reached, diagnose_applied(project, only=only, folder=folder))


def _report(
    project: Project,
    view: View,
    command: str,
    outcome: Outcome,
    parts: Sequence[DatabaseReport],
    only: str | None,
    *,
    target: Target | None = None,
) -> Report:
    """Combine the findings with the chain and the excerpts that reports show."""
    return Report(
        command,
        outcome,
        target,
        scripts.heads(view.graph),
        tuple(parts),
        only=only,
        left_out=view.left_out,
        chain=scripts.chain(view.graph),
        excerpts=excerpts.of(parts, project.secrets),
    )


def _before_writing(project: Project, planned: Report, reason: str) -> Report:
    """Add to a plan the reason, and how to redeploy afterwards."""
    redeploy = deploying.redeploy(project.settings, planned.only)
    return replace(planned, reason=project.secrets.hide(reason), redeploy=redeploy)


def _done(planned: Report, outcome: Outcome, receipt: Receipt) -> Report:
    """The planned report, with the databases as the receipt says they are now."""
    now = {part.database.rows_key: part.rows_after for part in receipt.parts}

    def after(part: DatabaseReport) -> DatabaseReport:
        would_fail = part.rehearsal.why if part.rehearsal and part.rehearsal.fails else ""
        advice = advising.after_writing(part.pending_after, planned.script_heads, would_fail=would_fail)
        database = replace(part.database, current_heads=now[part.database.identity.rows_key])
        return replace(part, database=database, recommendation=advice)

    databases = [after(part) if part.database.identity.rows_key in now else part for part in planned.databases]
    return replace(planned, outcome=outcome, databases=tuple(databases), receipt=receipt.path)


def _kept(project: Project, folder: Path | None) -> list[Receipt]:
    return receipts.listed(folder or receipts.folder_of(project.settings))


# --- diagnosing ---------------------------------------------------------------------------------------------------


def _proved(project: Project, view: View, choose: Choose, **more: Any) -> list[tuple[Database, Proof]]:
    """Prove the selected databases: each with its evidence, and with any remarks on its env.py."""
    return [(one.database, one.proof) for one in prove(project, view, choose, **more)]


def _by_key(proved: Sequence[tuple[Database, Proof]]) -> dict[tuple[str, str], Proof]:
    return {database.identity.rows_key: proof for database, proof in proved}


def _diagnosed(project: Project, view: View, parts: Sequence[DatabaseReport], only: str | None) -> Report:
    told = selection.addressed(_told_apart(parts), only)
    return _report(project, view, "diagnose", Outcome.READY, told, only)


def _told_apart(parts: Sequence[DatabaseReport]) -> list[DatabaseReport]:
    """Where there are several databases, name the database in each of its refusals."""
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
