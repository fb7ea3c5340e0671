"""Find the Alembic configurations in subfolders, and the command that works with each."""

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
"""How many folders deep to search."""
_FLASKS_OWN = ("wsgi.py", "app.py")
"""Where `flask` itself looks for an unnamed application, in this order."""
_FLASK_MIGRATES = Path("migrations", NAMES[0])
"""The file that `flask db init` creates in the application's folder."""


@dataclass(frozen=True)
class Found:
    """A configuration below the working directory, with paths relative to it."""

    file: str
    folder: str | None = None
    """The folder to use it from, because of its relative paths; None: from here, with ``-c``."""
    app: str | None = None
    """The Flask application to name with it, or NAME if unknown; None if it is not Flask-Migrate's."""

    def command(self, words: Sequence[str]) -> str:
        """The command to type, with `words`."""
        options = ["--app", self.app] if self.app else ["-c", Path(self.file).name if self.folder else self.file]
        if self.folder and not self.app and not os.environ.get("ALEMBIC_CONFIG"):
            options = []  # the default there
        there = f"cd {shlex.quote(self.folder)} && " if self.folder else ""
        return there + shlex.join(["alembic-rescue", *options, *words])


def find(root: Path) -> tuple[Found, ...]:
    """The configurations below `root`, nearest first."""
    files = sorted(_files(root), key=lambda file: (len(file.parts), file))
    return tuple(_judged(file, root) for file in files)


def tools(toml: Path) -> dict[str, Any]:
    """The table ``[tool]`` of a pyproject.toml; empty if there is no such file.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    return dict(compat.tomllib.loads(toml.read_text("utf-8")).get("tool", {})) if toml.is_file() else {}


def setting(name: str, named: Sequence[str] = ()) -> str | None:
    """Read one setting of ``[alembic_rescue]``, for what must be known before the project is loaded.

    Args:
        name: the setting's name.
        named: the given configuration files; those of the working directory replace a missing kind.

    Returns:
        None if it is not set, or if a file cannot be read: loading it reports why.
    """
    tomls = [Path(one) for one in named if Path(one).name == NAMES[1]] or [Path(NAMES[1])]
    here = Path(NAMES[0]) if Path(NAMES[0]).is_file() else _FLASK_MIGRATES
    inis = [Path(one) for one in named if Path(one).name != NAMES[1]] or [here]
    for file in (*inis, *tomls):
        if found := _options(file, "alembic_rescue").get(name):
            return found
    return None


def is_flask_migrates(ini: Path) -> bool:
    """Whether an ini file's env.py is Flask-Migrate's: it uses the current application, and creates none."""
    location = _options(ini).get("script_location")
    env = (Path(location) if location else ini.parent) / "env.py"
    text = env.read_text("utf-8", errors="replace") if env.is_file() else ""
    return "current_app" in text and "app_context" not in text


def app_in(folder: Path) -> str:
    """The application that `flask` would use there by default, else NAME."""
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
    """The options of a section, as Alembic reads them; empty if it cannot be read."""
    here = str(file.absolute().parent)
    with suppress(OSError, ValueError, IniError, LookupError):
        if file.name == NAMES[1]:
            return {k: str(v).replace("%(here)s", here) for k, v in tools(file)[section].items()}
        parser = ConfigParser({"here": here}, interpolation=None)
        parser.read(file, "utf-8")
        return {k: v.replace("%(here)s", here) for k, v in parser.items(section)}
    return {}


def _belongs_to_its_folder(options: Mapping[str, str], folder: Path, root: Path) -> bool:
    """Whether its relative paths, which Alembic resolves from the working directory, are meant from its own folder."""
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
    """The names of the modules that env.py imports, up to the first dot."""
    with suppress(OSError, ValueError, SyntaxError):
        nodes = list(ast.walk(ast.parse(env.read_text("utf-8"))))
        plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        others = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
        known = {"alembic", *sys.stdlib_module_names}  # a folder named alembic holds the scripts
        return {name.split(".")[0] for name in [*plain, *others]} - known
    return set()
