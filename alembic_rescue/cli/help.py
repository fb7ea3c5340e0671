"""The help: the text of the bare command, and what ``--help`` shows."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

START = """\
Recover a deployment that is stuck on an Alembic migration.

Run it where `alembic upgrade head` runs, with the deployment's environment:
    alembic-rescue diagnose                   what happened, and what to do next
    alembic-rescue diagnose --log deploy.log  the same, with the deploy's log
    alembic-rescue rehearse                   will the next upgrade succeed?
    alembic-rescue demo                       try it on a private PostgreSQL

None of these writes to your database. All commands and options:
    alembic-rescue --help
"""
"""The text of the bare command: ten lines of 80 columns."""

PROJECT, DATABASE, OUTPUT, OTHER = "Project", "Database", "Output", "Other"
"""The panels of options."""
LOOK, RECOVER, DEPLOY, TRY = "Look (writes nothing)", "Recover", "Deploy", "Try it"
"""The panels of commands."""


class Command(TyperCommand):
    """A command whose help shows what to type."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its options, without a value type on flags."""
        return [_without_type(one) for one in super().get_params(ctx)]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """``[OPTIONS] [REVISION]``, without the extra brackets of some typer versions."""
        return [_plain(piece) for piece in super().collect_usage_pieces(ctx)]


class Group(TyperGroup):
    """The command group; typer's own options come last."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its options, in panels."""
        found = [_without_type(one) for one in super().get_params(ctx)]
        for one in found:
            one.rich_help_panel = getattr(one, "rich_help_panel", None) or OTHER
        return found

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's own
        """In the order of the panels; older versions sort."""
        return list(self.commands)


def _without_type(parameter: Any) -> Any:
    """Remove the ``<bool>`` that typer 0.29 adds to a flag: ``--yes <bool>``."""
    if getattr(parameter, "is_flag", False) and parameter.metavar is None:
        parameter.metavar = ""
    return parameter


def _plain(piece: str) -> str:
    return piece.replace("[[", "[").replace("]]", "]").strip("{}")
