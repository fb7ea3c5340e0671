"""What the outcome of a chain depends on besides its revision files: other files, installed packages, the environment.

Workers use it, so it imports the standard library only.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

_OF_THE_SESSION = frozenset(
    ["_", "PWD", "OLDPWD", "SHLVL", "COLUMNS", "LINES", "TERM", "WINDOWID", "TMUX_PANE", "STY", "PYTEST_CURRENT_TEST"]
)
"""Variables that differ in each terminal and that no migration reads."""
_OF_THE_TOOL = ("ALEMBIC_RESCUE_", "SSH_", "TERM_", "XDG_")


def loaded() -> frozenset[str]:
    """Return the files of the loaded modules, except installed packages and Python's own."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return frozenset(_of_the_project(str(file) for file in files if file))


class Opened:
    """Records the files that the process opens for reading after `begin`: a migration may read its SQL from one."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._active = False

    def begin(self) -> None:
        """Start recording, until :meth:`end`."""
        self._active = True
        sys.addaudithook(self._note)

    def end(self) -> frozenset[str]:
        """Stop recording, and return those files that were opened and still exist."""
        self._active = False  # the hook itself stays: Python cannot remove an audit hook
        return frozenset(_of_the_project(path for path in self._paths if Path(path).is_file()))

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._active and event == "open" and isinstance(arguments[0], (str, bytes)):
            mode, flags = arguments[1], arguments[2]
            if (mode is None and not int(flags or 0) & (os.O_WRONLY | os.O_RDWR)) or (mode and "r" in mode):
                self._paths.add(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100 - do not resolve links


def installed() -> str:
    """Return a digest of the installed packages: the names and versions of the metadata folders on ``sys.path``."""
    found = []
    for folder in sys.path:
        try:
            found += [name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))]  # noqa: PTH208
        except OSError:
            continue
    return digest([sys.version, *sorted(set(found))])


def environment(variables: Mapping[str, str]) -> str:
    """Return a digest of the environment variables, except those of the terminal and of this tool."""
    kept = (
        f"{name}={value}"
        for name, value in sorted(variables.items())
        if name not in _OF_THE_SESSION and not name.startswith(_OF_THE_TOOL)
    )
    return digest(kept)


def digest(parts: Iterable[str | bytes]) -> str:
    """Return the SHA-256 of the parts, each with its length, so that the boundaries count."""
    running = sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        running.update(b"%d:" % len(content))
        running.update(content)
    return running.hexdigest()


def of_files(paths: Mapping[str, str]) -> str:
    """Return a digest of the names and contents of files; an unreadable file counts as unreadable.

    Args:
        paths: the file by its name in the digest.
    """
    parts: list[str | bytes] = []
    for name, path in sorted(paths.items()):
        try:
            parts += [name, Path(path).read_bytes()]
        except OSError:
            parts += [name, "cannot be read"]
    return digest(parts)


def _of_the_project(paths: Iterable[str]) -> Iterable[str]:
    others = tuple(
        str(Path(folder)) + os.sep
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
        if (folder := sysconfig.get_path(name))
    )
    this = str(Path(__file__).parents[1]) + os.sep
    outside = ("/proc/", "/dev/fd/", "/sys/", "<")
    return (
        path
        for path in paths
        if not path.startswith((*others, this, *outside))
        and f"{os.sep}site-packages{os.sep}" not in path
        and not path.endswith(".pyc")
    )
