"""The command that writes a file for another host: ``script``."""

from __future__ import annotations

import json
import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from alembic_rescue import errors
from alembic_rescue.cli.arguments import Accept, AcceptMissing, LockTimeout, Only, Revision
from alembic_rescue.cli.call import Call, Format, working, write

INSTEAD = {"script": "No file was written: the plan is refused.\n"}
"""By command: printed if its answer would be a file and there is none; the plan is then not an answer."""


class Shell(str, Enum):
    """What the file is for."""

    BASH = "bash"
    PSQL = "psql"


_LOGIN = {
    Shell.BASH: "Replace ... with the URL. The script asks before it writes. To check only, add --dry-run.",
    Shell.PSQL: "It does not ask before it writes. psql asks for the password, or reads PGPASSWORD or ~/.pgpass.",
}
"""What else to know before running it."""


def script(
    ctx: typer.Context,
    revision: Revision,
    shell: Annotated[
        Shell,
        typer.Option(
            "--for",
            envvar="ALEMBIC_RESCUE_FOR",
            help="What runs the file: bash with psql, or psql alone.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Optional[Path],
        typer.Option(
            "--out",
            metavar="FILE",
            envvar="ALEMBIC_RESCUE_OUT",
            help="Write it to FILE; - is stdout.",
            show_default="stdout",
        ),
    ] = None,
    accept: Accept = None,
    accept_missing: AcceptMissing = None,
    reason: Annotated[
        str,
        typer.Option("--reason", metavar="TEXT", envvar="ALEMBIC_RESCUE_REASON", help="Reason, recorded in the file."),
    ] = "",
    only: Only = None,
    lock_timeout: LockTimeout = None,
) -> None:
    """Write the stamp as one file, for a host without Python.

    The file checks, asks, stamps and verifies, and can undo the stamp. Nothing is written to the database here.
    """
    if revision is None:  # as in plan
        raise errors.BadUsage("Missing argument 'REVISION'.")
    from alembic_rescue import rescue

    call: Call = ctx.obj
    file = None if out is None or str(out) == "-" else out.absolute()  # the project may be in another folder
    project = call.load(lock_timeout)
    with working(call, "Planning") as shown:
        project.hear = shown.hear
        made = rescue.script(
            project,
            revision,
            shell.value,
            accept=accept or (),
            accept_missing=accept_missing or (),
            only=only,
            folder=call.receipt_folder(project.settings),
            reason=reason,
            upgrade=call.upgrade,
        )
    if file is not None and made.text is not None:
        _write(str(out), file, made.text, shell)
    for told in made.not_asked:
        call.tell(f"note: the script does not check {told}\n")
    if call.format is Format.JSON:
        _answer_json(call, made)
    elif made.text is None:
        from alembic_rescue.report import text

        call.tell(text.plan(made.report, **call.style(sys.stderr)))  # stdout is for the file only
        call.tell("No file was written: there is nothing to do.\n")
    elif file is None:
        write(made.text)  # unchanged: rewriting its commands would break its quotes
    else:
        told = f"Written to {out}. Run it where the database can be reached: {errors.code(running(made.run, str(out)))}"
        call.answer_sentence(f"{told}\n{_LOGIN[shell]}")


def running(command: str, name: str) -> str:
    """The command that runs ``FILE``, for a file with this name."""
    before, _, after = command.rpartition("FILE")  # the database's name may contain that word too
    operand = f"./{name}" if name.startswith("-") else name
    return f"{before}{shlex.quote(operand)}{after}"


def _write(name: str, file: Path, text: str, shell: Shell) -> None:
    from alembic_rescue.records import files

    try:
        if file.exists() and "by alembic-rescue" not in file.read_text("utf-8", "replace"):
            raise errors.CannotWriteFile(name, "it already exists and is not such a script")
        files.write_text(file, text, runs=shell is Shell.BASH)
    except OSError as error:
        raise errors.CannotWriteFile(name, error.strerror or str(error)) from error


def _answer_json(call: Call, made: Any) -> None:
    """The report in the usual form, and the script unchanged."""
    from alembic_rescue.report import json as report_json

    shown = json.loads(report_json.dumped(report_json.document(made.report), call.secrets.net))
    content = {**shown, "script": made.text, "not_asked": list(made.not_asked)}
    write(json.dumps(content, indent=2) + "\n")
