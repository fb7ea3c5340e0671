"""The commands that end at a live deployment."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from alembic_rescue import errors
from alembic_rescue.cli.arguments import LockTimeout, Only, WaitTimeout
from alembic_rescue.cli.call import Call, Format, answer_report, working


def wait(
    ctx: typer.Context,
    revision: Annotated[str, typer.Argument(metavar="[REVISION]", help="As for alembic upgrade.")] = "heads",
    timeout: WaitTimeout = 600.0,
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            metavar="SECONDS",
            envvar="ALEMBIC_RESCUE_INTERVAL",
            help="The pause between two looks.",
        ),
    ] = 2.0,
    applied: Annotated[
        bool,
        typer.Option(
            "--applied",
            envvar="ALEMBIC_RESCUE_APPLIED",
            help="Prove at the end that what counts as applied is there; exit with 3 where it is not.",
        ),
    ] = False,
    only: Only = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Wait until every database stands at a revision, or past it. Writes nothing, and holds nothing between two looks.

    A server that restarts, or is not up yet, is waited for; a wrong password is not.
    """
    from alembic_rescue import rescue
    from alembic_rescue.cli.waiting import Watch

    call: Call = ctx.obj
    project = call.load(lock_timeout)
    folder = call.receipt_folder(project.settings)
    with Watch(call.tell, color=call.color) as watch:
        report = rescue.wait(project, revision, timeout=timeout, interval=interval, only=only, told=watch.take)
    if applied:
        with working(call, "Proving what counts as applied") as shown:
            project.hear = shown.hear
            try:
                report = rescue.prove_reached(project, report, only=only, folder=folder)
            except errors.Refusal as not_there:
                shown.stop()
                if call.format is not Format.JSON and not_there.report is not None:
                    from alembic_rescue.report import text

                    call.answer(text.diagnosis(not_there.report, **call.style(sys.stdout)))
                raise
    if call.format is Format.JSON:
        answer_report(call, report)
    else:
        from alembic_rescue.report import waiting

        call.answer(waiting.reached(report, **call.style(sys.stdout), is_proved=applied))
