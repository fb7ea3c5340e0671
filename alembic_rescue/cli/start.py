"""The entry point.  Slow imports are under way before the command line is parsed."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

LOADING = frozenset(
    [
        *("complete", "diagnose", "plan", "receipts", "redeploy", "rehearse"),
        *("repair", "script", "stamp", "undo", "upgrade", "wait"),
    ]
)
"""The commands that load the project."""


def main() -> NoReturn:
    """Start the worker if it will be needed, then the command line."""
    gc.disable()  # nothing is garbage during imports
    words = set(sys.argv[1:])
    elsewhere = os.environ.get("ALEMBIC_RESCUE_PYTHON") or any(one.startswith("--python") for one in words)
    completing = "_ALEMBIC_RESCUE_COMPLETE" in os.environ
    if LOADING & words and not ({"-h", "--help", "--version"} & words or elsewhere or completing):
        from alembic_rescue.worker.spawn import spawn_ahead  # noqa: PLC0415 - the others do without

        spawn_ahead()
    try:
        from alembic_rescue.cli import commands  # noqa: PLC0415 - behind the worker
    except KeyboardInterrupt:  # nothing was begun
        sys.exit(130)
    try:
        commands.main()
    finally:
        gc.freeze()  # nor at the end of the process
