"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Needed without a terminal.")]
Only = Annotated[
    Optional[str],
    typer.Option(
        "--only",
        metavar="NAME",
        envvar="ALEMBIC_RESCUE_ONLY",
        help="The one database, where env.py visits several: by its name, schema, version table, or a part of its URL.",
    ),
]
LockTimeout = Annotated[
    Optional[float],
    typer.Option(
        "--lock-timeout",
        metavar="SECONDS",
        envvar="ALEMBIC_RESCUE_LOCK_TIMEOUT",
        help="How long to wait for a lock before giving up.",
        show_default="5",
    ),
]
WaitTimeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        envvar="ALEMBIC_RESCUE_TIMEOUT",
        help="How long to wait for the database; inf for ever. A look under way then may take a little longer.",
    ),
]
Revision = Annotated[
    str, typer.Argument(metavar="REVISION", help="As for alembic: full or partial id, head, heads, +1, BRANCH@head.")
]
Accept = Annotated[
    Optional[list[str]],
    typer.Option(
        "--accept",
        metavar="REVISION",
        help="Vouch for a skipped revision whose doing cannot be checked; repeatable.",
    ),
]
AcceptMissing = Annotated[
    Optional[list[str]],
    typer.Option(
        "--accept-missing",
        metavar="REVISION",
        help="Do without what is missing of a skipped revision: Alembic will never make it; repeatable.",
    ),
]


def is_typed(ctx: typer.Context, name: str) -> bool:
    """Whether an option was typed, and is not from a variable or by default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
