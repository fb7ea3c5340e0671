"""``python -m alembic_rescue.demo COMMAND DIR``: manage what ``alembic-rescue demo --keep DIR`` kept."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from alembic_rescue.demo import play, stage
from alembic_rescue.errors import RescueError

COMMANDS = {
    "start": "start the server",
    "stop": "stop the server",
    "reset": "put the database back to where the deployment is stuck",
    "remove": "stop the server and delete everything",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m alembic_rescue.demo",
        description="For what `alembic-rescue demo --keep DIR` left.",
        epilog="; ".join(f"{name}: {what}" for name, what in COMMANDS.items()),
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("folder", metavar="DIR", type=Path)
    options = parser.parse_args(arguments)
    try:
        kept = stage.kept(options.folder)
        match options.command:
            case "start":
                kept.server.start()
            case "stop":
                kept.server.stop()
            case "reset":
                play.reset(kept)
            case "remove":
                stage.clear(kept.folder)
    except RescueError as error:
        sys.stderr.write(f"error[{error.code}]: {error.message}\nhelp: {error.help}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
