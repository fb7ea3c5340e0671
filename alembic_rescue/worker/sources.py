"""What the outcome of a chain depends on besides its revision files: other files, installed packages, the environment.

For the worker: the standard library only.
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
"""Variables that are others in each terminal, and that no migration asks for."""
_OF_THE_TOOL = ("ALEMBIC_RESCUE_", "SSH_", "TERM_", "XDG_")


def loaded() -> frozenset[str]:
    """The files of the modules that are loaded, installed packages and Python's own aside."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return frozenset(_of_the_project(str(file) for file in files if file))


class Opened:
    """The files that the process opens for reading from `begin` on: a migration may take its SQL from one."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._active = False

    def begin(self) -> None:
        """Note them from now on, until :meth:`end`."""
        self._active = True
        sys.addaudithook(self._note)

    def end(self) -> frozenset[str]:
        """Those that were opened, as far as they are there; nothing is noted any more."""
        self._active = False  # the hook itself stays: Python has no way to remove one
        return frozenset(_of_the_project(path for path in self._paths if Path(path).is_file()))

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._active and event == "open" and isinstance(arguments[0], (str, bytes)):
            mode, flags = arguments[1], arguments[2]
            if (mode is None and not int(flags or 0) & (os.O_WRONLY | os.O_RDWR)) or (mode and "r" in mode):
                self._paths.add(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100 - links are kept


def installed() -> str:
    """A digest of what is installed, by names and versions: the folders that stand for it on ``sys.path``."""
    found = []
    for folder in sys.path:
        try:
            found += [name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))]  # noqa: PTH208
        except OSError:
            continue
    return digest([sys.version, *sorted(set(found))])


def environment(variables: Mapping[str, str]) -> str:
    """A digest of the environment's variables, but for those of the terminal and of this tool."""
    kept = (
        f"{name}={value}"
        for name, value in sorted(variables.items())
        if name not in _OF_THE_SESSION and not name.startswith(_OF_THE_TOOL)
    )
    return digest(kept)


def digest(parts: Iterable[str | bytes]) -> str:
    """SHA-256 of the parts, each apart from the next."""
    running = sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        running.update(b"%d:" % len(content))
        running.update(content)
    return running.hexdigest()


def of_files(paths: Mapping[str, str]) -> str:
    """A digest of the files' contents, by the names that they go by; one that cannot be read counts as such."""
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
