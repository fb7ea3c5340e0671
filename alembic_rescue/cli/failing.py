"""Print the error that ended a command, in the requested format."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import typer

from alembic_rescue import errors
from alembic_rescue.cli import handing_over, upgrading
from alembic_rescue.cli.call import COMMAND, Call, Format
from alembic_rescue.errors import RescueError


def as_typed(call: Call) -> Call:
    """The call with the format that was typed: parsing may have failed before that option was read."""
    return replace(call, format=_format_typed(sys.argv)) if call.format is Format.TEXT else call


def answer(call: Call, error: BaseException, app: typer.Typer) -> int:
    """Print an error in the requested format; return its exit status."""
    for argument in sys.argv[1:]:  # a URL in the arguments may not have been parsed as an option
        call.secrets.add_url(argument)
    told = _as_rescue_error(error, call.secrets.hide, app)
    if call.debug:
        import traceback

        trace = getattr(error, "trace", "") or "".join(
            traceback.format_exception(type(error), error, error.__traceback__)
        )
        call.tell(call.secrets.hide(trace))
    if call.format is Format.JSON:
        from alembic_rescue.report import json as report_json

        call.answer_json(report_json.failure(_command_name(app), told))
        return told.exit_status
    from alembic_rescue.report import text

    if call.is_document:
        call.answer(text.failure(told, **call.style(sys.stdout)))
    instead = ""
    if isinstance(told, errors.PlanRefused) and told.report is not None:
        instead = handing_over.INSTEAD.get(told.report.command, "")
        write, stream = (call.tell, sys.stderr) if instead else (call.answer, sys.stdout)
        write(text.plan(told.report, **call.style(stream)))
    call.tell(text.failure(told, **call.style(sys.stderr)) + instead)
    upgrading.answer_after(call, told)
    return told.exit_status


def _command_name(app: typer.Typer) -> str:
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]
    return next((argument for argument in sys.argv[1:] if argument in names), "")


def _own_help(app: typer.Typer, error: BaseException | None = None) -> str:
    """Where to find the help for the command that was typed."""
    context = getattr(error, "ctx", None)
    name = "" if context is not None and context.parent is None else _command_name(app)  # an option before the command
    return f"`{COMMAND} {name} --help` lists its options" if name else errors.BadUsage.help


def _format_typed(argv: Sequence[str]) -> Format:
    """The requested format, for a command line that could not be parsed; text if it names none or an unknown one."""
    typed = [two for one, two in pairwise(argv) if one == "--format"]
    typed += [one.partition("=")[2] for one in argv if one.startswith("--format=")]
    asked = typed[-1] if typed else os.environ.get("ALEMBIC_RESCUE_FORMAT", "")
    return next((one for one in Format if one.value == asked), Format.TEXT)


def _as_rescue_error(error: BaseException, hide: Callable[[str], str], app: typer.Typer) -> RescueError:
    if isinstance(error, RescueError):
        if isinstance(error, errors.BadUsage) and error.help == errors.BadUsage.help:
            error.help = _own_help(app)
        return error
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return errors.Interrupted("nothing was written")
    if hasattr(error, "format_message"):  # typer's usage errors, from any version of click
        before = {name for parameter in typer.main.get_command(app).params for name in parameter.opts}
        if (option := getattr(error, "option_name", None)) in before:
            return errors.BadUsage(
                f"{option} must come before the command", f"for example: `{COMMAND} {option} ... {_command_name(app)}`"
            )
        message = str(error.format_message()).replace("Value error, ", "")  # from the newest typer's own validation
        return errors.BadUsage(hide(message), _own_help(app, error))

    return errors.InternalError(hide(f"{type(error).__name__}: {errors.said(error)}"))
