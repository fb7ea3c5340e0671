"""The Alembic configurations in the folders below one that has none, and the command that works with each."""

from __future__ import annotations

import ast
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as IniError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic_rescue import compat

NAMES = ("alembic.ini", "pyproject.toml")
_SKIPPED_FOLDERS = frozenset(["node_modules", "site-packages", "__pycache__", "venv", "env", "dist", "build"])
_DEPTH = 4
"""How many folders down they are looked for."""
_FLASKS_OWN = ("wsgi.py", "app.py")
"""Where `flask` itself looks for an application that nobody names, in this order."""
_FLASK_MIGRATES = Path("migrations", NAMES[0])
"""The file that `flask db init` writes, in the folder of the application."""


@dataclass(frozen=True)
class Found:
    """A configuration below the working directory; its paths are relative to that."""

    file: str
    folder: str | None = None
    """Where it has to be used from, because of the relative paths in it; None: from here, with ``-c``."""
    app: str | None = None
    """The Flask application to be named with it, or NAME where it is not known; None: it is not Flask-Migrate's."""

    def command(self, words: Sequence[str]) -> str:
        """What to type in order to use it for the command `words`."""
        options = ["--app", self.app] if self.app else ["-c", Path(self.file).name if self.folder else self.file]
        if self.folder and not self.app and not os.environ.get("ALEMBIC_CONFIG"):
            options = []  # it is what is taken there anyway
        there = f"cd {shlex.quote(self.folder)} && " if self.folder else ""
        return there + shlex.join(["alembic-rescue", *options, *words])


def find(root: Path) -> tuple[Found, ...]:
    """The configurations below `root`, the nearest first."""
    files = sorted(_files(root), key=lambda file: (len(file.parts), file))
    return tuple(_judged(file, root) for file in files)


def tools(toml: Path) -> dict[str, Any]:
    """The table ``[tool]`` of a pyproject.toml; empty where there is no such file.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    return dict(compat.tomllib.loads(toml.read_text("utf-8")).get("tool", {})) if toml.is_file() else {}


def setting(name: str, named: Sequence[str] = ()) -> str | None:
    """What ``[alembic_rescue]`` says of `name`, read by itself: for what must be known before the project is loaded.

    Args:
        name: of the setting.
        named: the configuration files that are named; those of the working directory stand in for a missing kind.

    Returns:
        None where it is not set, and where a file cannot be read: loading it tells why.
    """
    tomls = [Path(one) for one in named if Path(one).name == NAMES[1]] or [Path(NAMES[1])]
    here = Path(NAMES[0]) if Path(NAMES[0]).is_file() else _FLASK_MIGRATES
    inis = [Path(one) for one in named if Path(one).name != NAMES[1]] or [here]
    for file in (*inis, *tomls):
        if found := _options(file, "alembic_rescue").get(name):
            return found
    return None


def is_flask_migrates(ini: Path) -> bool:
    """Whether the env.py of an ini file is Flask-Migrate's: it asks for the current application, and makes none."""
    location = _options(ini).get("script_location")
    env = (Path(location) if location else ini.parent) / "env.py"
    text = env.read_text("utf-8", errors="replace") if env.is_file() else ""
    return "current_app" in text and "app_context" not in text


def app_in(folder: Path) -> str:
    """The application that `flask` would take there if none is named, else NAME."""
    return next((Path(name).stem for name in _FLASKS_OWN if (folder / name).is_file()), "NAME")


def _files(root: Path) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(root):
        here = Path(folder)
        depth = len(here.relative_to(root).parts)
        subfolders[:] = sorted(f for f in subfolders if f not in _SKIPPED_FOLDERS and not f.startswith("."))
        if depth >= _DEPTH:
            subfolders[:] = []
        if NAMES[0] in files:
            yield here / NAMES[0]
        with suppress(OSError, ValueError):
            if NAMES[1] in files and "alembic" in tools(here / NAMES[1]):
                yield here / NAMES[1]


def _judged(file: Path, root: Path) -> Found:
    name, folder = str(file.relative_to(root)), file.parent
    if file.name == NAMES[0] and is_flask_migrates(file):
        return Found(name, _relative(folder.parent, root), app_in(folder.parent))
    return Found(name, _relative(folder, root) if _belongs_to_its_folder(_options(file), folder, root) else None)


def _relative(folder: Path, root: Path) -> str | None:
    return os.path.relpath(folder, root) if folder != root else None


def _options(file: Path, section: str = "alembic") -> Mapping[str, str]:
    """What counts of its section, in Alembic's words; nothing where it cannot be read."""
    here = str(file.absolute().parent)
    with suppress(OSError, ValueError, IniError, LookupError):
        if file.name == NAMES[1]:
            return {k: str(v).replace("%(here)s", here) for k, v in tools(file)[section].items()}
        parser = ConfigParser({"here": here}, interpolation=None)
        parser.read(file, "utf-8")
        return {k: v.replace("%(here)s", here) for k, v in parser.items(section)}
    return {}


def _belongs_to_its_folder(options: Mapping[str, str], folder: Path, root: Path) -> bool:
    """Whether its relative paths, which Alembic takes from the working directory, mean its own folder."""
    location = options.get("script_location", "")
    package, colon, _ = location.partition(":")
    path = Path(package.replace(".", "/")) if colon and not Path(location).is_absolute() else Path(location)
    if not path.is_absolute():
        return bool(location) and (folder / path).exists()
    return any(
        (folder / f"{name}{end}").exists() and not (root / f"{name}{end}").exists()
        for name in _imported(path / "env.py")
        for end in ("", ".py")
    )


def _imported(env: Path) -> set[str]:
    """The names of the modules, up to their first dot, that env.py imports."""
    with suppress(OSError, ValueError, SyntaxError):
        nodes = list(ast.walk(ast.parse(env.read_text("utf-8"))))
        plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        others = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
        known = {"alembic", *sys.stdlib_module_names}  # a folder named alembic holds the scripts
        return {name.split(".")[0] for name in [*plain, *others]} - known
    return set()
