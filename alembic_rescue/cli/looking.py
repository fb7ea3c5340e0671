"""The commands that write nothing: ``diagnose``, ``rehearse``, ``plan`` and ``receipts``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from alembic_rescue import errors
from alembic_rescue.cli.arguments import Accept, AcceptMissing, LockTimeout, Only, Revision
from alembic_rescue.cli.call import COMMAND, Call, Format, answer_report, working
from alembic_rescue.errors import RescueError

if TYPE_CHECKING:
    from alembic_rescue.evidence.logs.values import DeploymentLog
    from alembic_rescue.records.plans import SealedPlan


def diagnose(
    ctx: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", envvar="ALEMBIC_RESCUE_CHECK", help="Exit with 3 if action is needed.")
    ] = False,
    applied: Annotated[
        bool,
        typer.Option(
            "--applied",
            envvar="ALEMBIC_RESCUE_APPLIED",
            help="Check the revisions marked as applied, instead of the pending ones.",
        ),
    ] = False,
    locate: Annotated[
        bool,
        typer.Option(
            "--locate", envvar="ALEMBIC_RESCUE_LOCATE", help="Find which revision the schema is really at, instead."
        ),
    ] = False,
    log: Annotated[
        Optional[str],
        typer.Option(
            "--log",
            metavar="FILE|-",
            envvar="ALEMBIC_RESCUE_LOG",
            help="Log of the failed deployment, from any platform, to compare with the database. - reads stdin.",
        ),
    ] = None,
    only: Only = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Find out what happened, and what to do next.

    Shows where each database is, what is pending, what of that is applied, and who holds locks. Writes nothing.
    """
    call: Call = ctx.obj
    if applied and locate:
        raise errors.BadUsage("--applied and --locate cannot be combined: use one at a time")
    if log and (applied or locate):
        raise errors.BadUsage("--log is about pending revisions: omit --applied and --locate")
    read = _read(call, log) if log else None
    from alembic_rescue import client

    project = call.load(lock_timeout, ahead=client.looking())
    from alembic_rescue import rescue
    from alembic_rescue.model import Action

    look = rescue.locate if locate else rescue.diagnose_applied if applied else partial(rescue.diagnose, log=read)
    with working(call, "Inspecting the database") as shown:
        project.hear = shown.hear
        report = look(project, only=only, folder=call.receipt_folder(project.settings))
    if call.format is Format.JSON:
        answer_report(call, report)
    else:
        from alembic_rescue.report import text

        call.answer(text.diagnosis(report, **call.style(sys.stdout)))
    if check and any(part.recommendation.action is not Action.NOTHING for part in report.databases):
        raise typer.Exit(errors.REFUSED)


def _read(call: Call, log: str) -> DeploymentLog:
    from alembic_rescue.records import logs

    with working(call, "Reading the log"):
        return logs.read(log)


def rehearse(
    ctx: typer.Context,
    revision: Annotated[
        Optional[str],
        typer.Argument(metavar="[REVISION]", help="As for alembic upgrade.", show_default="all pending revisions"),
    ] = None,
    from_empty: Annotated[
        bool,
        typer.Option(
            "--from-empty",
            envvar="ALEMBIC_RESCUE_FROM_EMPTY",
            help="For CI: run all revisions on an empty scratch database. No other database is opened.",
        ),
    ] = False,
    against: Annotated[
        Optional[str],
        typer.Option(
            "--against",
            metavar="BRANCH|TAG",
            envvar="ALEMBIC_RESCUE_AGAINST",
            help="With --from-empty: report only what is new since that branch, tag or commit in git.",
        ),
    ] = None,
    only: Only = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Check whether the next alembic upgrade will succeed.

    Runs it on a copy of the schema, and queries the live rows. Writes nothing.
    """
    from alembic_rescue import client
    from alembic_rescue.model import Outcome

    call: Call = ctx.obj
    if from_empty:
        _rehearse_from_empty(call, revision, against, only)
        return
    if against is not None:
        raise errors.BadUsage("--against needs --from-empty")
    project = call.load(lock_timeout, ahead=client.looking())
    from alembic_rescue import rescue

    with working(call, "Rehearsing") as shown:
        project.hear = shown.hear
        try:
            report = rescue.rehearse(project, revision, only=only, folder=call.receipt_folder(project.settings))
        except errors.RescueError as not_known:
            shown.stop()
            if not_known.report is not None and call.format is not Format.JSON:
                from alembic_rescue.report import text

                call.answer(text.rehearsed(not_known.report, **call.style(sys.stdout)))
            raise
    if call.format is Format.JSON:
        answer_report(call, report)
    else:
        from alembic_rescue.report import text

        call.answer(text.rehearsed(report, **call.style(sys.stdout)))
    if report.outcome is Outcome.FAILS:
        raise typer.Exit(errors.REFUSED)


def _rehearse_from_empty(call: Call, revision: str | None, against: str | None, only: str | None) -> None:
    from alembic_rescue.from_empty.verb import rehearse_from_empty
    from alembic_rescue.model import Outcome

    project = call.load(None)
    with working(call, "Running the migrations from empty") as shown:
        project.hear = shown.hear
        report = rehearse_from_empty(project, revision, against=against, only=only)
    if call.format is Format.JSON:
        answer_report(call, report)
    else:
        from alembic_rescue.report import from_empty

        call.answer(from_empty.rehearsed(report, **call.style(sys.stdout)))
    if report.outcome is Outcome.FAILS:
        raise typer.Exit(errors.REFUSED)


def plan(
    ctx: typer.Context,
    revision: Revision,
    out: Annotated[
        Optional[Path],
        typer.Option(
            "--out",
            metavar="FILE",
            envvar="ALEMBIC_RESCUE_OUT",
            help=(
                "Save the plan, sealed, to FILE for stamp --plan. ALEMBIC_RESCUE_PLAN_KEY makes the seal unforgeable."
            ),
        ),
    ] = None,
    accept: Accept = None,
    accept_missing: AcceptMissing = None,
    only: Only = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Show what stamp would check and change. Writes nothing."""
    if revision is None:  # typer 0.16 and 0.17 miss this with click 8.3: remove with them
        raise errors.BadUsage("Missing argument 'REVISION'.")
    given, missing = accept or (), accept_missing or ()
    answer_plan(ctx.obj, revision, lock_timeout, out, accept=given, accept_missing=missing, only=only)


def receipts(ctx: typer.Context) -> None:
    """List the receipts. Writes nothing."""
    from alembic_rescue.records import receipts as kept

    call: Call = ctx.obj
    folder = call.receipt_folder(_settings_if_any(call))
    found = kept.listed(folder)
    if call.format is Format.JSON:
        from alembic_rescue.report import json as report_json

        call.answer_json(report_json.receipt_list(found))
    else:
        from alembic_rescue.report import written

        call.answer(written.receipt_list(found, str(folder), **call.style(sys.stdout)))


def answer_plan(
    call: Call,
    revision: str,
    lock_timeout: float | None,
    out: Path | None,
    sealed: SealedPlan | None = None,
    *,
    accept: Sequence[str],
    accept_missing: Sequence[str],
    only: str | None,
) -> None:
    """Plan a stamp, and write the plan to stdout and, sealed, to the file `out`.

    Args:
        sealed: the plan that it must be equal to.
    """
    from alembic_rescue import client
    from alembic_rescue.model import Outcome
    from alembic_rescue.records import plans, seal
    from alembic_rescue.report import json as report_json

    key = plan_key(call)
    out_file = out.absolute() if out else None  # the project may be in another folder
    project = call.load(lock_timeout, ahead=client.looking())
    from alembic_rescue import rescue

    with working(call, "Planning") as shown:
        project.hear = shown.hear
        report = rescue.plan(
            project,
            revision,
            accept=accept,
            accept_missing=accept_missing,
            only=only,
            folder=call.receipt_folder(project.settings),
        )
    if sealed is not None:
        seal.check(sealed.name, sealed.parts, report)
    if out_file is not None and report.outcome is not Outcome.REFUSED:
        shown = json.loads(report_json.dumped(report_json.document(report), call.secrets.net))
        plans.write(str(out), out_file, seal.sealed(shown, report, key))
    if report.outcome is Outcome.REFUSED:
        raise errors.PlanRefused(report)
    if call.format is Format.JSON:
        answer_report(call, report)
        return
    from alembic_rescue.report import text

    call.answer(text.plan(report, **call.style(sys.stdout)))
    if out is not None:
        with_key = f" with the key in {seal.KEY_VARIABLE}, which must be set there too" if key else ""
        to_do = (
            f" To carry out exactly this plan: `{COMMAND} stamp --plan {out}`"
            if report.outcome is Outcome.READY
            else ""
        )
        call.answer_sentence(f"Sealed in {out}{with_key}.{to_do}")


def plan_key(call: Call) -> str:
    """The key of the seals, which is never shown; empty if there is none."""
    from alembic_rescue.records import seal

    key = os.environ.get(seal.KEY_VARIABLE, "")
    call.secrets.add(key)
    return key


def _settings_if_any(call: Call) -> dict[str, str]:
    """The project's settings, if there is a project.  Receipts can be listed without one."""
    try:
        return call.project().settings
    except RescueError:
        if call.config or call.config_from or call.app:
            raise
        return {}
