"""Recover a PostgreSQL deployment that is stuck on an Alembic migration: diagnose, plan, stamp, verify, undo.

The functions do what the commands do.  They print nothing, raise :class:`RescueError`, and return frozen values::

    from pathlib import Path
    from alembic_rescue import load, plan, stamp

    project = load()                                   # as the `alembic` command finds it
    print(plan(project, "774225e563ca").outcome)
    stamp(project, "774225e563ca", confirm=lambda report: True, folder=Path("receipts"))

A Project is loaded for one database at one point in time.  Load a new one after the script files change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alembic_rescue.client import Project, load
    from alembic_rescue.errors import DatabaseError, NotVerified, Refusal, RescueError, UsageError
    from alembic_rescue.evidence.completion import Completion
    from alembic_rescue.evidence.deployed import Deployed, Mode
    from alembic_rescue.evidence.from_empty import FromEmpty
    from alembic_rescue.evidence.logs.values import DeploymentLog
    from alembic_rescue.evidence.model import Cause, ObjectEvidence, Presence, Verdict
    from alembic_rescue.evidence.rehearsal import Rehearsal
    from alembic_rescue.from_empty.verb import rehearse_from_empty
    from alembic_rescue.model import (
        Blocker,
        Database,
        DatabaseReport,
        Identity,
        Located,
        Note,
        Outcome,
        Receipt,
        Recommendation,
        Report,
        Revision,
        Target,
    )
    from alembic_rescue.records.logs import read as read_log
    from alembic_rescue.records.receipts import default_folder
    from alembic_rescue.records.receipts import listed as list_receipts
    from alembic_rescue.redeployment import redeploy
    from alembic_rescue.rescue import (
        complete,
        diagnose,
        diagnose_applied,
        locate,
        plan,
        rehearse,
        repair,
        script,
        stamp,
        undo,
        wait,
    )
    from alembic_rescue.scripting import Script
    from alembic_rescue.upgrading import upgrade

__all__ = [
    "Blocker",
    "Cause",
    "Completion",
    "Database",
    "DatabaseError",
    "DatabaseReport",
    "Deployed",
    "DeploymentLog",
    "FromEmpty",
    "Identity",
    "Located",
    "Mode",
    "NotVerified",
    "Note",
    "ObjectEvidence",
    "Outcome",
    "Presence",
    "Project",
    "Receipt",
    "Recommendation",
    "Refusal",
    "Rehearsal",
    "Report",
    "RescueError",
    "Revision",
    "Script",
    "Target",
    "UsageError",
    "Verdict",
    "complete",
    "default_folder",
    "diagnose",
    "diagnose_applied",
    "list_receipts",
    "load",
    "locate",
    "plan",
    "read_log",
    "redeploy",
    "rehearse",
    "rehearse_from_empty",
    "repair",
    "script",
    "stamp",
    "undo",
    "upgrade",
    "wait",
]

_HOMES = {
    "evidence.completion": ("Completion",),
    "evidence.deployed": ("Deployed", "Mode"),
    "evidence.logs.values": ("DeploymentLog",),
    "evidence.model": ("Cause", "ObjectEvidence", "Presence", "Verdict"),
    "evidence.from_empty": ("FromEmpty",),
    "evidence.rehearsal": ("Rehearsal",),
    "errors": ("DatabaseError", "NotVerified", "Refusal", "RescueError", "UsageError"),
    "client": ("Project", "load"),
    "from_empty.verb": ("rehearse_from_empty",),
    "records.receipts": ("default_folder",),
    "redeployment": ("redeploy",),
    "rescue": (
        "complete",
        "diagnose",
        "diagnose_applied",
        "locate",
        "plan",
        "rehearse",
        "repair",
        "script",
        "stamp",
        "undo",
        "wait",
    ),
    "scripting": ("Script",),
    "upgrading": ("upgrade",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command's ``--help`` needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "list_receipts":
        return import_module(f"{__name__}.records.receipts").listed
    if name == "read_log":
        return import_module(f"{__name__}.records.logs").read
    home = next((module for module, names in _HOMES.items() if name in names), "model")
    return getattr(import_module(f"{__name__}.{home}"), name)
