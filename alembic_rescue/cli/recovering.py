"""The commands that write: ``stamp``, ``complete``, ``repair`` and ``undo``."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from alembic_rescue import errors
from alembic_rescue.cli.arguments import Accept, AcceptMissing, LockTimeout, Only, Revision, Yes
from alembic_rescue.cli.asking import Ask, agreed, confirming, rows_typed, statements_agreed, terminal_or_yes
from alembic_rescue.cli.call import COMMAND, Call, answer_written, working
from alembic_rescue.cli.looking import answer_plan, plan_key

if TYPE_CHECKING:
    from alembic_rescue.model import Report
    from alembic_rescue.records.plans import SealedPlan

Reason = Annotated[
    str,
    typer.Option("--reason", metavar="TEXT", envvar="ALEMBIC_RESCUE_REASON", help="Reason, recorded in the receipt."),
]
NotRun = Annotated[
    Optional[list[str]],
    typer.Option(
        "--not-run",
        metavar="REVISION",
        help="State that an unverifiable revision did not run; Alembic will run it next. Repeatable.",
    ),
]


def stamp(
    ctx: typer.Context,
    revision: Annotated[
        Optional[str],
        typer.Argument(metavar="[REVISION]", help="As for plan. Omit it with --plan.", show_default=False),
    ] = None,
    yes: Yes = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", envvar="ALEMBIC_RESCUE_DRY_RUN", help="Only plan, like the plan command."),
    ] = False,
    plan_file: Annotated[
        Optional[Path],
        typer.Option(
            "--plan",
            metavar="FILE",
            envvar="ALEMBIC_RESCUE_PLAN",
            help="A sealed plan. The stamp is refused if anything has changed since.",
        ),
    ] = None,
    accept: Accept = None,
    accept_missing: AcceptMissing = None,
    reason: Reason = "",
    only: Only = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Mark revisions as applied, verify it, and leave a receipt.

    Shows the plan and asks first. Refuses revisions that are not proved.
    """
    from alembic_rescue import client, gate
    from alembic_rescue.evidence.model import Verdict
    from alembic_rescue.model import addressed

    call: Call = ctx.obj
    sealed = _sealed_plan(call, plan_file) if plan_file else None
    target = revision or (sealed.target if sealed else None)
    if target is None:
        raise errors.BadUsage("stamp needs a REVISION, or a sealed plan with --plan FILE")
    if sealed and (accept or accept_missing):
        raise errors.BadUsage("a sealed plan records what it accepts: omit --accept and --accept-missing")
    if sealed:
        accept = sealed.accepted(Verdict.UNVERIFIABLE)
        accept_missing = sealed.accepted(Verdict.PARTIAL, Verdict.NOT_APPLIED)
        only = only or sealed.only
    if dry_run:
        accepted = {"accept": accept or (), "accept_missing": accept_missing or ()}
        answer_plan(call, target, lock_timeout, None, sealed, **accepted, only=only)
        return
    look = shlex.join([COMMAND, "plan", target, *gate.options(accept or (), accept_missing or ())])
    terminal_or_yes(f"{COMMAND} stamp {target}", addressed(look, only), yes=yes)
    project = call.load(lock_timeout, yes=yes, ahead=client.looking())
    from alembic_rescue import rescue

    with working(call, "Planning") as shown:
        project.hear = shown.hear
        report = rescue.stamp(
            project,
            target,
            confirm=confirming(call, shown.stop, agreed, yes=yes),
            folder=call.receipt_folder(project.settings),
            reason=reason,
            accept=accept or (),
            accept_missing=accept_missing or (),
            only=only,
            sealed=sealed,
        )
    answer_written(call, report)


def complete(
    ctx: typer.Context,
    revision: Revision,
    yes: Yes = False,
    reason: Reason = "",
    only: Only = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Run the statements that a partially applied revision lacks.

    Shows them and asks first, then proves the revision again. Never runs statements that change rows.
    """
    if revision is None:  # as in plan
        raise errors.BadUsage("Missing argument 'REVISION'.")
    from alembic_rescue import rescue
    from alembic_rescue.evidence.model import Verdict

    call: Call = ctx.obj
    terminal_or_yes(f"{COMMAND} complete {revision}", f"{COMMAND} diagnose", yes=yes)
    given = {"revision": revision, "reason": reason, "only": only}
    report = _carried_out(call, rescue.complete, statements_agreed, lock_timeout, yes=yes, **given)
    answer_written(call, report)
    if any(one.verdict is Verdict.PARTIAL for part in report.databases if part.completion for one in part.revisions):
        raise typer.Exit(errors.NOT_VERIFIED)


def repair(
    ctx: typer.Context,
    yes: Yes = False,
    accept: Accept = None,
    not_run: NotRun = None,
    reason: Reason = "",
    only: Only = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Set the version table to what is proved, if no stamp can fix it.

    For rows that are unknown, overlapping, duplicate, lost or wrong. Shows the new rows, and has you type them.
    """
    from alembic_rescue import rescue

    call: Call = ctx.obj
    terminal_or_yes(f"{COMMAND} repair", f"{COMMAND} diagnose --locate", yes=yes)
    given = {"reason": reason, "accept": accept or (), "not_run": not_run or (), "only": only}
    answer_written(call, _carried_out(call, rescue.repair, rows_typed, lock_timeout, yes=yes, **given))


def undo(
    ctx: typer.Context,
    receipt: Annotated[
        Optional[str],
        typer.Argument(
            metavar="[RECEIPT]", help="Id or file of a receipt.", show_default="the latest for this database"
        ),
    ] = None,
    yes: Yes = False,
    reason: Reason = "",
    only: Only = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Restore the rows of the version table from a receipt.

    Refuses if the database is no longer where the stamp left it. Asks first.
    """
    from alembic_rescue import rescue

    call: Call = ctx.obj
    terminal_or_yes(f"{COMMAND} undo", f"{COMMAND} receipts", yes=yes)
    receipt = str(Path(receipt).absolute()) if receipt and Path(receipt).is_file() else receipt
    given = {"named": receipt, "reason": reason, "only": only}
    answer_written(call, _carried_out(call, rescue.undo, agreed, lock_timeout, yes=yes, **given))


def _carried_out(
    call: Call, verb: Callable[..., Report], ask: Ask, lock_timeout: float | None, *, yes: bool, **given: Any
) -> Report:
    """Load the project, and run a verb that asks before it writes."""
    project = call.load(lock_timeout, yes=yes)
    with working(call, "Inspecting the database") as shown:
        project.hear = shown.hear
        confirm, folder = confirming(call, shown.stop, ask, yes=yes), call.receipt_folder(project.settings)
        return verb(project, confirm=confirm, folder=folder, **given)


def _sealed_plan(call: Call, file: Path) -> SealedPlan:
    from alembic_rescue.records import plans

    return plans.read(file, plan_key(call))
