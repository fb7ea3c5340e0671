"""A server's programs on this machine: where they are, and who may run them.

Servers refuse to run as root; for root, their programs run as ``nobody``.
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
"""In bytes, for macOS; Linux allows 107."""

EXE = ".exe" if WINDOWS else ""
"""The suffix of a program's file."""

_UNPRIVILEGED = "nobody"


def major(version: str) -> int:
    """Return the major version in a server's version text; 0 if it has none."""
    found = re.search(r"\d+", version)
    return int(found.group()) if found else 0


def give(folder: Path) -> None:
    """If this process is root, make the unprivileged user the owner of a folder and everything in it."""
    user = unprivileged()
    if user:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user["user"], user["group"], follow_symlinks=False)


def run(program: Path, *arguments: str, cwd: Path) -> tuple[int, str]:
    """Run a server's program to its end, even if this process is interrupted; return its status and output."""
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
            process.wait()  # what it is starting can only be stopped once it exists
        output.seek(0)
        return process.returncode, output.read()


def environment() -> dict[str, str]:
    """Return this process's environment without what would redirect PostgreSQL's programs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def unprivileged() -> dict[str, Any]:
    """Return what makes a child process run as the unprivileged user, if this process is root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(_UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def unprivileged_can(*command: str) -> bool:
    """Return whether the unprivileged user can run that command successfully."""
    try:
        done = subprocess.run(command, capture_output=True, cwd="/", check=False, **unprivileged())  # noqa: S603
    except PermissionError:
        return False
    return done.returncode == 0


def out_of_reach_of_ctrl_c() -> dict[str, Any]:
    """Return what detaches a server from the terminal's process group: only its starter stops it, not Ctrl-C."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def first_of(*names: str) -> Path | None:
    """Return the path of the first of these programs found; Debian puts servers in sbin, which may not be on PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return next((Path(found) for name in names if (found := shutil.which(name, path=path))), None)
