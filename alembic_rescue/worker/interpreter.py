"""The project's own Python as the one in which workers run: how the tool installs into nothing.

With ``--python`` the tool runs from an environment of its own.  Whatever is the project's runs in workers anyway, so
only these change: they are started by the project's interpreter, with the project's Alembic, SQLAlchemy and driver.
Command line, questions, progress, Ctrl-C, receipts, proof, and the scratch server with its programs stay where they
are, and so every command works as it does without.

Nothing of the tool's environment is put on the worker's path.  This package is loaded from its folder under its own
name, and is all that a worker has of the tool: no typer, no rich, no second Alembic.  A folder at the path's end would
have done nearly the same, but there an alembic-rescue that the project has installed would win, and it may be another
version, which says other things to its caller.  To run the whole command by the project's Python would need typer and
rich there, or one more protocol for questions and answers.

Two things are the tool's own where the project has none of them: what reads TOML (Python 3.10 has no ``tomllib``), and
a driver without an event loop for making the scratch databases.  The second is a binary, made for one version of
Python, so a worker of the tool's own Python does that part: see :class:`alembic_rescue.scratch.bench.Bench`.
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
"""By their names for people; as in this package's own requirements."""
_SECONDS = 30.0
"""How long it may take to say what it is: on a cold disk, with whatever its ``sitecustomize`` does."""
_LAST = 300
"""Characters of what it says where it fails."""
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
"""Runs on any Python, so that an old one can say how old it is."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that can be the worker."""

    python: str
    """Its own word for where it is: behind a link, a shim or a script stands the real one."""
    version: str
    magic: bytes
    """With which its bytecode begins."""
    reads_toml: bool = True

    @property
    def packages(self) -> dict[str, str]:
        """What its workers are given of the tool's: name -> folder."""
        given = {"alembic_rescue": str(Path(__file__).parents[1])}
        if not self.reads_toml:
            given["tomli"] = str(Path(str(tomllib.__file__)).parent)
        return given


def located(named: str) -> str:
    """The file that is meant: that of an environment where its folder is named, one of the PATH by its bare name."""
    path = Path(named).expanduser()
    if path.is_dir():
        inside = (path / "bin" / "python", path / "Scripts" / "python.exe")
        path = next((one for one in inside if one.exists()), inside[0])
    found = shutil.which(named) if os.sep not in named and not path.exists() else None
    return found or os.path.abspath(path)  # noqa: PTH100 - links are kept: a virtual environment's python is one


def chosen(named: str) -> Interpreter:
    """The interpreter of that name, once it has said that it can be the worker.

    Args:
        named: a file, the folder of an environment, or a program on the PATH.

    Raises:
        NoPython, AlembicMissing, TooOld: it cannot.
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
        done = subprocess.run(  # noqa: S603 - the user's own choice
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
