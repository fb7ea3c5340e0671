"""The command line: parse, call once, print, exit.  Only this package knows typer.

stdout carries the answer; everything else goes to stderr.  Each command imports what it needs itself, so that
``--help``, ``--version`` and completion stay quick.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional

import typer

from alembic_rescue import errors
from alembic_rescue.cli import deploying, failing, handing_over, looking, recovering, upgrading
from alembic_rescue.cli.arguments import is_typed
from alembic_rescue.cli.call import (
    COMMAND,
    Call,
    Format,
    answer_report,
    keep_stdout_for_the_answer,
    write,
)
from alembic_rescue.cli.help import DATABASE, DEPLOY, LOOK, OUTPUT, PROJECT, RECOVER, START, TRY, Command, Group
from alembic_rescue.redact import Secrets

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


for panel, commands in (
    (LOOK, (looking.diagnose, looking.rehearse, looking.plan, looking.receipts)),
    (RECOVER, (recovering.stamp, recovering.complete, recovering.repair, recovering.undo, handing_over.script)),
    (DEPLOY, (upgrading.upgrade, deploying.redeploy, deploying.wait)),
):
    for command in commands:
        app.command(cls=Command, rich_help_panel=panel)(command)


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


def _fail(error: BaseException) -> int:
    _CALLS[0] = failing.as_typed(_CALLS[0])
    return failing.answer(_CALLS[0], error, app)


def _located(python: str) -> str:
    from alembic_rescue.worker import interpreter

    return interpreter.located(python)  # here: the project may be in another folder


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
