"""The command line: parse, call once, print, exit.  Only this package knows typer.

stdout carries the answer; everything else goes to stderr.  Each command imports what it needs itself, so that
``--help``, ``--version`` and completion stay quick.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import typer

from alembic_rescue import errors
from alembic_rescue.cli import deploying, handing_over, upgrading
from alembic_rescue.cli.arguments import Accept, AcceptMissing, LockTimeout, Only, Revision, Yes, is_typed
from alembic_rescue.cli.call import (
    COMMAND,
    Call,
    Format,
    agreed,
    answer_report,
    answer_written,
    confirming,
    keep_stdout_for_the_answer,
    rows_typed,
    statements_agreed,
    terminal_or_yes,
    working,
    write,
)
from alembic_rescue.cli.help import DATABASE, DEPLOY, LOOK, OUTPUT, PROJECT, RECOVER, START, TRY, Command, Group
from alembic_rescue.errors import RescueError
from alembic_rescue.redact import Secrets

if TYPE_CHECKING:
    from alembic_rescue.evidence.logs.values import DeploymentLog
    from alembic_rescue.records.plans import SealedPlan

app = typer.Typer(
    name=COMMAND,
    cls=Group,
    epilog="Start with `alembic-rescue diagnose`. It writes nothing.",
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_NAMING = frozenset(
    ["python", "config", "config_from", "app", "section", "x", "url", "scratch", "baseline", "receipts"]
)
"""The options that select the project, its database, and the receipts."""


def _begin(call: Call) -> NoReturn:
    """No command was given: print where to start."""
    if call.format in {Format.JSON, Format.GITHUB}:
        raise errors.BadUsage("no command was given")
    call.tell(START)
    raise typer.Exit(errors.USAGE)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{COMMAND} {version(COMMAND)}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    config: Annotated[
        Optional[list[Path]],
        typer.Option(
            "-c",
            "--config",
            rich_help_panel=PROJECT,
            metavar="FILE",
            envvar="ALEMBIC_CONFIG",
            help="alembic.ini or pyproject.toml, as for alembic. Repeat it to pass both.",
        ),
    ] = None,
    config_from: Annotated[
        Optional[str],
        typer.Option(
            "--config-from",
            rich_help_panel=PROJECT,
            metavar="MODULE:CALLABLE",
            envvar="ALEMBIC_RESCUE_CONFIG_FROM",
            help="Instead of a file: a callable that returns the alembic Config your code builds.",
        ),
    ] = None,
    app: Annotated[
        Optional[str],
        typer.Option(
            "--app",
            rich_help_panel=PROJECT,
            metavar="NAME",
            envvar="FLASK_APP",
            help="The Flask application that uses Flask-Migrate, as for flask. FLASK_APP applies if there "
            "is no other configuration.",
        ),
    ] = None,
    python: Annotated[
        Optional[str],
        typer.Option(
            "--python",
            rich_help_panel=PROJECT,
            metavar="PATH",
            envvar="ALEMBIC_RESCUE_PYTHON",
            help="The project's Python or its environment's folder, if alembic-rescue is installed elsewhere "
            "(uvx, pipx).",
            show_default="the Python that alembic-rescue is installed in",
        ),
    ] = None,
    section: Annotated[
        Optional[str],
        typer.Option(
            "-n",
            "--name",
            rich_help_panel=PROJECT,
            metavar="SECTION",
            envvar="ALEMBIC_RESCUE_NAME",
            help="Section of the ini file, as for alembic.",
            show_default="alembic",
        ),
    ] = None,
    x: Annotated[
        Optional[list[str]],
        typer.Option(
            "-x",
            rich_help_panel=PROJECT,
            metavar="ARG",
            envvar="ALEMBIC_RESCUE_X",
            help="Argument for env.py, as for alembic. Repeatable.",
        ),
    ] = None,
    url: Annotated[
        Optional[str],
        typer.Option(
            "--url",
            rich_help_panel=DATABASE,
            metavar="URL",
            envvar="ALEMBIC_RESCUE_URL",
            help="Connect to this database instead of env.py's. If it has a password, use the variable: "
            "other users can see a process's arguments.",
        ),
    ] = None,
    scratch: Annotated[
        Optional[str],
        typer.Option(
            "--scratch",
            rich_help_panel=DATABASE,
            metavar="URL|local|none",
            envvar="ALEMBIC_RESCUE_SCRATCH",
            help="Where to run migrations to observe them: a server's URL, local (one started here for the "
            "purpose), or none.",
            show_default="what is found",
        ),
    ] = None,
    revision_timeout: Annotated[
        float,
        typer.Option(
            "--revision-timeout",
            rich_help_panel=DATABASE,
            metavar="SECONDS",
            envvar="ALEMBIC_RESCUE_REVISION_TIMEOUT",
            help="Time limit for one revision on the scratch database.",
        ),
    ] = 60,
    baseline: Annotated[
        Optional[Path],
        typer.Option(
            "--baseline",
            rich_help_panel=DATABASE,
            metavar="FILE.sql",
            envvar="ALEMBIC_RESCUE_BASELINE",
            exists=True,
            dir_okay=False,
            help="SQL that creates what existed before the first revision, for the scratch database.",
        ),
    ] = None,
    receipts: Annotated[
        Optional[Path],
        typer.Option(
            "--receipts",
            rich_help_panel=OUTPUT,
            metavar="DIR",
            envvar="ALEMBIC_RESCUE_RECEIPTS",
            help="Folder for receipts.",
            show_default="the user's state folder",
        ),
    ] = None,
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            rich_help_panel=OUTPUT,
            metavar="FORMAT",
            envvar="ALEMBIC_RESCUE_FORMAT",
            help="Format of the answer on stdout: text, json, markdown, html, or github (annotations, and the "
            "job's summary).",
        ),
    ] = Format.TEXT,
    no_color: Annotated[
        bool,
        typer.Option(
            "--no-color",
            rich_help_panel=OUTPUT,
            envvar="ALEMBIC_RESCUE_NO_COLOR",
            help="Print no colours. Setting NO_COLOR does the same.",
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            rich_help_panel=OUTPUT,
            envvar="ALEMBIC_RESCUE_DEBUG",
            help="Show env.py's output, and tracebacks.",
        ),
    ] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Recover a deployment that is stuck on an Alembic migration: diagnose, plan, stamp, verify, undo."""
    del show_version
    if url == "":  # a variable that is empty counts as not set
        raise errors.BadUsage(
            "--url is empty",
            "pass a URL. Printed commands use `$ALEMBIC_RESCUE_URL`, because passwords are never printed: set it first",
        )
    if ":***@" in (url or ""):
        raise errors.BadUsage(
            "the URL has *** in place of its password: it was copied from the output, which hides it",
            "put the password in, or set ALEMBIC_RESCUE_URL to the whole URL and omit --url",
        )
    secrets = Secrets()
    secrets.add_url(url or "")
    call = Call(
        python=_located(python) if python else None,
        section=section,
        x=tuple(x or ()),
        url=url,
        scratch=scratch,
        revision_timeout=revision_timeout,
        baseline=baseline.absolute() if baseline else None,
        receipts=receipts.expanduser().absolute() if receipts else None,
        format=format_,
        color=not no_color and Call().color,
        debug=debug,
        secrets=secrets,
        rest=upgrading.REST if ctx.invoked_subcommand == "upgrade" else Call.rest,
        typed=_naming(ctx, secrets),
    )
    _CALLS[0] = call
    typed = {name for name in ("config", "config_from", "app") if is_typed(ctx, name)}
    ctx.obj = _CALLS[0] = call.of_project(typed, tuple(map(str, config or ())), config_from, app)
    if ctx.invoked_subcommand is None:
        _begin(call)


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


@app.command(cls=Command, rich_help_panel=LOOK)
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


@app.command(cls=Command, rich_help_panel=LOOK)
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


@app.command(cls=Command, rich_help_panel=LOOK)
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
    _plan(ctx.obj, revision, lock_timeout, out, accept=accept or (), accept_missing=accept_missing or (), only=only)


@app.command(cls=Command, rich_help_panel=RECOVER)
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
        _plan(call, target, lock_timeout, None, sealed, **accepted, only=only)
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


@app.command(cls=Command, rich_help_panel=RECOVER)
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

    call: Call = ctx.obj
    terminal_or_yes(f"{COMMAND} complete {revision}", f"{COMMAND} diagnose", yes=yes)
    project = call.load(lock_timeout, yes=yes)
    with working(call, "Inspecting the database") as shown:
        project.hear = shown.hear
        report = rescue.complete(
            project,
            revision,
            confirm=confirming(call, shown.stop, statements_agreed, yes=yes),
            folder=call.receipt_folder(project.settings),
            reason=reason,
            only=only,
        )
    answer_written(call, report)


@app.command(cls=Command, rich_help_panel=RECOVER)
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
    project = call.load(lock_timeout, yes=yes)
    with working(call, "Inspecting the database") as shown:
        project.hear = shown.hear
        report = rescue.repair(
            project,
            confirm=confirming(call, shown.stop, rows_typed, yes=yes),
            folder=call.receipt_folder(project.settings),
            reason=reason,
            accept=accept or (),
            not_run=not_run or (),
            only=only,
        )
    answer_written(call, report)


@app.command(cls=Command, rich_help_panel=RECOVER)
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
    receipt = os.path.abspath(receipt) if receipt and Path(receipt).is_file() else receipt  # noqa: PTH100 - as typed
    project = call.load(lock_timeout, yes=yes)
    with working(call, "Inspecting the database") as shown:
        project.hear = shown.hear
        report = rescue.undo(
            project,
            receipt,
            confirm=confirming(call, shown.stop, agreed, yes=yes),
            folder=call.receipt_folder(project.settings),
            reason=reason,
            only=only,
        )
    answer_written(call, report)


app.command(cls=Command, rich_help_panel=RECOVER)(handing_over.script)
app.command(cls=Command, rich_help_panel=DEPLOY)(upgrading.upgrade)
app.command(cls=Command, rich_help_panel=DEPLOY)(deploying.redeploy)
app.command(cls=Command, rich_help_panel=DEPLOY)(deploying.wait)


@app.command(cls=Command, rich_help_panel=LOOK)
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
        from alembic_rescue.report import text

        call.answer(text.receipt_list(found, str(folder), **call.style(sys.stdout)))


@app.command(cls=Command, rich_help_panel=TRY)
def demo(
    ctx: typer.Context,
    keep: Annotated[
        Optional[Path],
        typer.Option(
            "--keep",
            metavar="DIR",
            envvar="ALEMBIC_RESCUE_KEEP",
            help="Keep the project and the database in DIR, to try things out.",
        ),
    ] = None,
) -> None:
    """Play an incident from start to end on a private PostgreSQL."""
    from alembic_rescue.demo import play
    from alembic_rescue.model import Outcome, Report

    call: Call = ctx.obj
    if call.format is Format.JSON:
        play.incident(keep, call.tell)
        answer_report(call, Report("demo", Outcome.READY, None, (), ()))
    else:
        play.incident(keep, replace(call, format=Format.TEXT).answer)  # it shows other commands' texts


def main() -> NoReturn:
    """The entry point: run the command, and turn any exception into its text (or JSON) and its exit status."""
    from alembic_rescue import interrupts

    keep_stdout_for_the_answer()
    status: Any = errors.INTERRUPTED
    with suppress(KeyboardInterrupt), interrupts.as_ctrl_c():  # while the failure is printed
        try:
            status = app(prog_name=COMMAND, standalone_mode=False)
            if status == errors.INTERRUPTED:  # typer returns this for KeyboardInterrupt
                status = _fail(errors.Interrupted("nothing was written"))
        except SystemExit as left:  # raised by completion, and by typer if the reader of its help has gone
            status = left.code
        except BaseException as error:  # noqa: BLE001 - the last handler
            try:
                status = _fail(error)
            except KeyboardInterrupt:  # a second Ctrl-C must not hide the error
                status = _fail(error)
        _CALLS[0].finish()
        write("")
    with suppress(OSError):  # its reader may have gone
        sys.stdout.close()
    sys.exit(status if isinstance(status, int) else errors.DONE)


# --- parts -------------------------------------------------------------------------------------------------------

_CALLS = [Call()]
"""The current call, for the last handler: with the parsed options if possible, else the defaults."""


def _plan(
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
    from alembic_rescue import client
    from alembic_rescue.model import Outcome
    from alembic_rescue.records import plans, seal
    from alembic_rescue.report import json as report_json

    key = _plan_key(call)
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


def _located(python: str) -> str:
    from alembic_rescue.worker import interpreter

    return interpreter.located(python)  # here: the project may be in another folder


def _sealed_plan(call: Call, file: Path) -> SealedPlan:
    from alembic_rescue.records import plans

    return plans.read(file, _plan_key(call))


def _plan_key(call: Call) -> str:
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


def _naming(ctx: typer.Context, secrets: Secrets) -> dict[str, tuple[str, ...]]:
    """The typed options that select the project, without secrets."""
    found = {}
    for parameter in ctx.command.params:
        if parameter.name in _NAMING and is_typed(ctx, parameter.name):
            value = ctx.params[parameter.name]
            values = [str(one) for one in (value if isinstance(value, (list, tuple)) else [value])]
            for one in values:
                secrets.add_url(one)
            variable = parameter.envvar if parameter.name in {"url", "scratch"} else None
            found[parameter.opts[0]] = tuple(_printable(one, secrets.hide(one), variable) for one in values)
    return found


def _printable(value: str, hidden: str, variable: object) -> str:
    """The value in a printed command: a URL with a password becomes its variable."""
    return f"${variable}" if variable and hidden != value else hidden


def _fail(error: BaseException) -> int:
    """Print an error in the requested format; return its exit status."""
    (call,) = _CALLS
    if call.format is Format.TEXT:  # possibly because parsing failed before the option was read
        call = _CALLS[0] = replace(call, format=_format_typed(sys.argv))
    for argument in sys.argv[1:]:  # a URL in the arguments may not have been parsed as an option
        call.secrets.add_url(argument)
    told = _as_rescue_error(error, call.secrets.hide)
    if call.debug:
        import traceback

        trace = getattr(error, "trace", "") or "".join(
            traceback.format_exception(type(error), error, error.__traceback__)
        )
        call.tell(call.secrets.hide(trace))
    if call.format is Format.JSON:
        from alembic_rescue.report import json as report_json

        call.answer_json(report_json.failure(_command_name(), told))
        return told.exit_status
    from alembic_rescue.report import text

    if call.is_document:
        call.answer(text.failure(told, **call.style(sys.stdout)))
    instead = ""
    if isinstance(told, errors.PlanRefused) and told.report is not None:
        instead = handing_over.INSTEAD.get(told.report.command, "")
        answer, stream = (call.tell, sys.stderr) if instead else (call.answer, sys.stdout)
        answer(text.plan(told.report, **call.style(stream)))
    call.tell(text.failure(told, **call.style(sys.stderr)) + instead)
    upgrading.answer_after(call, told)
    return told.exit_status


def _command_name() -> str:
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]
    return next((argument for argument in sys.argv[1:] if argument in names), "")


def _own_help(error: BaseException | None = None) -> str:
    """Where to find the help for the command that was typed."""
    context = getattr(error, "ctx", None)
    name = "" if context is not None and context.parent is None else _command_name()  # an option before the command
    return f"`{COMMAND} {name} --help` lists its options" if name else errors.BadUsage.help


def _format_typed(argv: Sequence[str]) -> Format:
    """The requested format, for a command line that could not be parsed; text if it names none or an unknown one."""
    typed = [two for one, two in pairwise(argv) if one == "--format"]
    typed += [one.partition("=")[2] for one in argv if one.startswith("--format=")]
    asked = typed[-1] if typed else os.environ.get("ALEMBIC_RESCUE_FORMAT", "")
    return next((one for one in Format if one.value == asked), Format.TEXT)


def _as_rescue_error(error: BaseException, hide: Callable[[str], str]) -> RescueError:
    if isinstance(error, RescueError):
        if isinstance(error, errors.BadUsage) and error.help == errors.BadUsage.help:
            error.help = _own_help()
        return error
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return errors.Interrupted("nothing was written")
    if hasattr(error, "format_message"):  # typer's usage errors, from any version of click
        before = {name for parameter in typer.main.get_command(app).params for name in parameter.opts}
        if (option := getattr(error, "option_name", None)) in before:
            return errors.BadUsage(
                f"{option} must come before the command", f"for example: `{COMMAND} {option} ... {_command_name()}`"
            )
        message = str(error.format_message()).replace("Value error, ", "")  # from the newest typer's own validation
        return errors.BadUsage(hide(message), _own_help(error))

    return errors.InternalError(hide(f"{type(error).__name__}: {errors.said(error)}"))
