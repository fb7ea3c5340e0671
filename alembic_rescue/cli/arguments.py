"""Options shared by several commands."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from alembic_rescue.cli.help import DATABASE
from alembic_rescue.clock import LONGEST_SECONDS


def seconds(value: float) -> float:
    """A valid number of seconds to wait.

    Raises:
        BadParameter: it is below 0, more than a week, or not a number.
    """
    if not 0 <= value <= LONGEST_SECONDS:
        raise typer.BadParameter(f"it must be from 0 to {LONGEST_SECONDS:.0f} seconds (a week)")
    return value


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation. Required without a terminal.")]
Only = Annotated[
    Optional[str],
    typer.Option(
        "--only",
        rich_help_panel=DATABASE,
        metavar="NAME",
        envvar="ALEMBIC_RESCUE_ONLY",
        help="Select one of env.py's databases by name, schema, version table, or part of its URL.",
    ),
]
LockTimeout = Annotated[
    Optional[float],
    typer.Option(
        "--lock-timeout",
        rich_help_panel=DATABASE,
        metavar="SECONDS",
        envvar="ALEMBIC_RESCUE_LOCK_TIMEOUT",
        help="Give up waiting for a lock after this time.",
        show_default="5",
    ),
]
WaitTimeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        envvar="ALEMBIC_RESCUE_TIMEOUT",
        callback=seconds,
        help="Give up waiting for the database after this time, a week at most.",
    ),
]
Revision = Annotated[
    str,
    typer.Argument(metavar="REVISION", help="As for alembic: a full or partial id, head, heads, +1, BRANCH@head."),
]
Accept = Annotated[
    Optional[list[str]],
    typer.Option(
        "--accept",
        metavar="REVISION",
        help="Accept a revision that could not be verified. Repeatable.",
    ),
]
AcceptMissing = Annotated[
    Optional[list[str]],
    typer.Option(
        "--accept-missing",
        metavar="REVISION",
        help="Skip a revision although objects are missing; Alembic will never create them. Repeatable.",
    ),
]


def is_typed(ctx: typer.Context, name: str) -> bool:
    """Whether an option was typed, not set by a variable or by default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
