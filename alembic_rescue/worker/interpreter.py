"""Run workers with the project's own Python, so that the tool need not be installed into the project's environment.

With ``--python``, the tool runs from a separate environment.  All project code runs in workers anyway, so only they
change: the project's interpreter starts them, with the project's Alembic, SQLAlchemy and driver.  Command line,
prompts, progress, Ctrl-C, receipts, evidence, and the scratch server with its programs stay in the tool's environment,
so every command works as without the option.

Nothing from the tool's environment is added to the worker's path.  This package is loaded from its folder under its own
name, and nothing else of the tool is: no typer, no rich, no second Alembic.  Appending the folder to the path would
have nearly the same effect, but then an alembic-rescue installed in the project would win, and another version of it
may use another protocol.  Running the whole command with the project's Python would need typer and rich there, or
another protocol for prompts and answers.

If the project lacks them, two things come from the tool: a TOML parser (Python 3.10 has no ``tomllib``), and a
synchronous driver to create the scratch databases.  The driver is a binary for one version of Python, so a worker
running the tool's own Python does that part: see :class:`alembic_rescue.scratch.bench.Bench`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from alembic_rescue import errors
from alembic_rescue.compat import tomllib

OLDEST_PYTHON = "3.10"
OLDEST = {"Alembic": "1.9", "SQLAlchemy": "1.4.18"}
"""Oldest versions, by display name; the same as in this package's requirements."""
_SECONDS = 30.0
"""Time limit for its answer, allowing for a cold disk and a slow ``sitecustomize``."""
_LAST = 300
"""Characters of its error output to use if it fails."""
_ASK = """
import json, sys
told = {"version": "%d.%d.%d" % tuple(sys.version_info[:3]), "python": sys.executable}
if sys.version_info >= (3, 10):
    from importlib import metadata, util
    sys.path[:] = [folder for folder in sys.path if folder]
    def version(name):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None
    told["magic"] = util.MAGIC_NUMBER.hex()
    told["packages"] = dict((name, version(name)) for name in ("Alembic", "SQLAlchemy"))
    told["reads_toml"] = any(util.find_spec(name) for name in ("tomllib", "tomli"))
sys.stdout.write("\\n" + json.dumps(told))
"""
"""Runs on any Python, so that an old one can report its version."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that can run workers."""

    python: str
    """Its ``sys.executable``, which is the real one if a link, shim or script was named."""
    version: str
    magic: bytes
    """The magic number of its bytecode."""
    reads_toml: bool = True

    @property
    def packages(self) -> dict[str, str]:
        """The tool's packages that its workers load: name -> folder."""
        given = {"alembic_rescue": str(Path(__file__).parents[1])}
        if not self.reads_toml:
            given["tomli"] = str(Path(str(tomllib.__file__)).parent)
        return given


def located(named: str) -> str:
    """Return the executable: the one inside an environment's folder, or, for a bare name, the one on the PATH."""
    path = Path(named).expanduser()
    if path.is_dir():
        inside = (path / "bin" / "python", path / "Scripts" / "python.exe")
        path = next((one for one in inside if one.exists()), inside[0])
    found = shutil.which(named) if os.sep not in named and not path.exists() else None
    return found or os.path.abspath(path)  # noqa: PTH100 - do not resolve links: a virtual environment's python is one


def chosen(named: str) -> Interpreter:
    """Return the named interpreter after checking that it can run workers.

    Args:
        named: a file, the folder of an environment, or a program on the PATH.

    Raises:
        NoPython, AlembicMissing, TooOld: it cannot run them.
    """
    path = located(named)
    told = _told(named, path)
    if _is_older(told["version"], OLDEST_PYTHON):
        raise errors.TooOld(named, "Python", told["version"], OLDEST_PYTHON)
    packages: dict[str, str | None] = told["packages"]
    if missing := [name for name, version in packages.items() if version is None]:
        raise errors.AlembicMissing(named, missing)
    for name, version in packages.items():
        if version is not None and _is_older(version, OLDEST[name]):
            raise errors.TooOld(named, name, version, OLDEST[name])
    return Interpreter(told["python"] or path, told["version"], bytes.fromhex(told["magic"]), told["reads_toml"])


def _told(named: str, path: str) -> dict[str, Any]:
    try:
        done = subprocess.run(  # noqa: S603 - the user chose it
            [path, "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise errors.NoPython(named, f"it did not answer in {_SECONDS:.0f} s") from None
    except OSError as error:
        raise errors.NoPython(named, _reason(path, error)) from error
    try:
        told = json.loads(done.stdout.decode("utf-8", "replace").splitlines()[-1])
    except (ValueError, IndexError):
        told = None
    if not isinstance(told, dict) or "version" not in told:
        said = done.stderr.decode("utf-8", "replace").strip()[-_LAST:].splitlines()
        raise errors.NoPython(named, f"it does not answer as Python does{f' ({said[-1]})' if said else ''}")
    return told


def _reason(path: str, error: OSError) -> str:
    if not Path(path).exists():
        return "there is no such file" if Path(path).parent.is_dir() else f"there is no {path}"
    return error.strerror or str(error)


def _is_older(version: str, than: str) -> bool:
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> tuple[int, ...]:
    parts = ("".join(takewhile(str.isdigit, part)) for part in version.split("."))
    return tuple(int(part) for part in takewhile(bool, parts))
