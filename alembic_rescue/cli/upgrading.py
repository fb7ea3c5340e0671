"""The command ``upgrade``: guarded, and with a log that says what happened."""

from __future__ import annotations

import sys
from typing import Annotated, Optional

import typer

from alembic_rescue import errors
from alembic_rescue.cli.arguments import LockTimeout, seconds
from alembic_rescue.cli.call import Call, Format, answer_report
from alembic_rescue.cli.help import DATABASE

REST = ("upgrading",)
"""The modules that this command needs first: not the report, and not the diagnosis, which only a failure needs."""


def upgrade(
    ctx: typer.Context,
    revision: Annotated[
        str, typer.Argument(metavar="[REVISION]", help="As for alembic upgrade; all heads by default.")
    ] = "heads",
    wait: Annotated[
        float,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            envvar="ALEMBIC_RESCUE_WAIT",
            callback=seconds,
            help="Give up waiting for another upgrade after this time, a week at most.",
        ),
    ] = 600,
    retries: Annotated[
        int,
        typer.Option(
            "--retries",
            metavar="N",
            envvar="ALEMBIC_RESCUE_RETRIES",
            min=0,
            max=100,
            help="Retry this many times after a lock timeout or a deadlock, if everything was rolled back.",
        ),
    ] = 3,
    lock_url: Annotated[
        Optional[str],
        typer.Option(
            "--lock-url",
            rich_help_panel=DATABASE,
            metavar="URL",
            envvar="ALEMBIC_RESCUE_LOCK_URL",
            help="Take the lock at this direct address of the database, past a connection pooler. If it has a "
            "password, use the variable.",
        ),
    ] = None,
    rehearse: Annotated[
        bool,
        typer.Option(
            "--rehearse", envvar="ALEMBIC_RESCUE_REHEARSE", help="Rehearse first. If that fails, run nothing."
        ),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            envvar="ALEMBIC_RESCUE_VERIFY",
            help="Afterwards, prove on a scratch database that what ran exists. Exit with 5 if it is not proved.",
        ),
    ] = False,
    lock_timeout: LockTimeout = None,
) -> None:
    """Run alembic upgrade: one replica at a time, and verified.

    Other replicas wait. Lock timeouts are short and retried. On failure, the log ends with the diagnosis. Never stamps.
    """
    import alembic_rescue
    from alembic_rescue import client
    from alembic_rescue.cli.upgrading_log import UpgradeLog

    call: Call = ctx.obj
    call.secrets.add_url(lock_url or "")
    ahead = client.guarding(lock_url, leaving_heads=True) if revision in client.HEADS else client.looking()
    project = call.load(lock_timeout, ahead=ahead)
    shown = UpgradeLog(call.tell)
    report = alembic_rescue.upgrade(
        project,
        revision,
        wait=wait,
        retries=retries,
        lock_url=lock_url,
        rehearse=rehearse,
        verify=verify,
        folder=call.receipt_folder(project.settings),
        told=shown.take,
        printed=lambda line: call.tell(f"{line}\n"),
    )
    if call.format is Format.JSON:
        answer_report(call, report)
    else:
        from alembic_rescue.report import upgraded

        known = shown.warned if call.format is Format.TEXT else ()
        call.answer(upgraded.upgraded(report, **call.style(sys.stdout), is_proved=verify, known=known))


def answer_after(call: Call, failed: errors.RescueError) -> None:
    """Write the diagnosis after the error message, as the last thing in the log."""
    report = failed.report
    if report is None or report.command != "upgrade" or not report.databases:
        return
    from alembic_rescue.report import text

    show = text.rehearsed if isinstance(failed, errors.RehearsalFailed) else text.diagnosis
    call.answer(show(report, **call.style(sys.stdout)))
