"""A server's programs on this machine: where they are, and who may run them.

Servers refuse to run as root: there their programs run as ``nobody``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import pwd

WINDOWS = sys.platform == "win32"
LONGEST_SOCKET_PATH = 103
"""Bytes: on macOS; on Linux they are 107."""

EXE = ".exe" if WINDOWS else ""
"""How a program's file ends."""

_UNPRIVILEGED = "nobody"


def major(version: str) -> int:
    """The major version in a server's own words: 0 where there is none in them."""
    found = re.search(r"\d+", version)
    return int(found.group()) if found else 0


def give(folder: Path) -> None:
    """Make the unprivileged user the owner of a folder and of all in it, where this one is root."""
    user = unprivileged()
    if user:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user["user"], user["group"], follow_symlinks=False)


def run(program: Path, *arguments: str, cwd: Path) -> tuple[int, str]:
    """Run one of a server's programs to its end, whatever interrupts this one; return its status and its output."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(  # noqa: S603 - a server's own program
            [str(program), *arguments],
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **unprivileged(),
            **out_of_reach_of_ctrl_c(),
        )
        try:
            process.wait()
        finally:
            process.wait()  # what it is starting could not be stopped before it is there
        output.seek(0)
        return process.returncode, output.read()


def environment() -> dict[str, str]:
    """This process's environment without what leads PostgreSQL's programs elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def unprivileged() -> dict[str, Any]:
    """What makes a child process run as the unprivileged user, where this one is root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(_UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def unprivileged_can(*command: str) -> bool:
    """Whether that command succeeds for the unprivileged user."""
    try:
        done = subprocess.run(command, capture_output=True, cwd="/", check=False, **unprivileged())  # noqa: S603
    except PermissionError:
        return False
    return done.returncode == 0


def out_of_reach_of_ctrl_c() -> dict[str, Any]:
    """A terminal's Ctrl-C goes to all processes of its group; a server is stopped by who started it alone."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def first_of(*names: str) -> Path | None:
    """Where the first of these programs is; Debian keeps servers in sbin, which is not on everybody's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return next((Path(found) for name in names if (found := shutil.which(name, path=path))), None)
