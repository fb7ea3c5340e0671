"""``flask rescue``: the whole command line, for the application that ``flask`` locates.

Flask loads this module through the entry point `flask.commands`.  Nothing else imports it, so Flask is not a
dependency.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

_DEFAULTS = ("wsgi", "app")
"""The modules that ``flask`` tries if no application is named."""


@click.command(
    "rescue",
    short_help="Recover from a stuck migration.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def rescue(info: Any, words: tuple[str, ...]) -> None:
    """Run alembic-rescue with these arguments."""
    from alembic_rescue.cli import start  # noqa: PLC0415 - each `flask` command loads this module

    name = located(info)
    sys.argv = ["alembic-rescue", *(["--app", name] if name else []), *words]
    start.main()


def located(info: Any) -> str | None:
    """Return the application of Flask's ScriptInfo as a value for ``--app``; None if it has no importable name."""
    if factory := getattr(info, "create_app", None):
        name = f"{factory.__module__}:{getattr(factory, '__qualname__', '<>')}"
        return None if "<" in name or name.startswith("__main__:") else name  # a script's factory cannot be imported
    if named := getattr(info, "app_import_path", None):
        return str(named)
    found = (f"{name}.py" for name in _DEFAULTS if Path(f"{name}.py").is_file() or Path(name, "__init__.py").is_file())
    return next(found, None)
