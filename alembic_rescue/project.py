"""The user's project: where its Alembic configuration is, loaded as the ``alembic`` command loads it."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Sequence
from configparser import InterpolationError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic.config import CommandLine, Config
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionMap
from alembic.util import CommandError
from sqlalchemy.engine import URL

from alembic_rescue import errors, scripts, urls
from alembic_rescue.failures import Hide, one_line, place_of, shown
from alembic_rescue.redact import Secrets
from alembic_rescue.sessions import Timeouts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMES = ("alembic.ini", "pyproject.toml")
SETTINGS = ("receipts", "lock_timeout", "statement_timeout", "connect_timeout")
"""What the optional section ``[alembic_rescue]`` (``[tool.alembic_rescue]`` in pyproject.toml) may hold."""
_SKIPPED_FOLDERS = frozenset(["node_modules", "site-packages", "__pycache__", "venv", "env", "dist", "build"])
_SHORTEST_TIMEOUT, _LONGEST_TIMEOUT = 0.001, 2_000_000
_SENSIBLE = f"from {_SHORTEST_TIMEOUT} to {_LONGEST_TIMEOUT} seconds"
_DEPTH = 4
"""How many folders down other configurations are looked for, to name them in the error."""


@dataclass(frozen=True)
class Project:
    """A loaded project.  Having one means that its configuration could be read."""

    config: Config
    script: ScriptDirectory
    url: URL | None
    """What ``--url`` says; it wins over whatever env.py does."""
    source: str
    """The configuration file, for people."""
    settings: dict[str, str]
    """Of the section ``[alembic_rescue]``."""
    timeouts: Timeouts
    secrets: Secrets = field(repr=False)
    _read: list[RevisionMap | errors.RescueError] = field(default_factory=list, repr=False)
    """What reading the script directory came to; Alembic tells of duplicates only the first time."""

    @property
    def graph(self) -> RevisionMap:
        """Of the script directory, read once and checked: no duplicate ids, no circle, no gap.

        Ask for it from within a run of env.py or after one: env.py may set ``context.script.version_locations``, and
        what Alembic then reads is what counts.

        Raises:
            DuplicateRevision, RevisionCycle, MissingRevision: the script files contradict one another.
            BadConfig, ModuleMissing: one of them cannot be read.
        """
        if not self._read:
            try:
                self._read.append(_graph(self.script, self.secrets.hide))
            except errors.RescueError as error:
                self._read.append(error)
        (read,) = self._read
        if isinstance(read, errors.RescueError):
            raise read
        return read

    @property
    def env_path(self) -> Path:
        """The project's env.py."""
        return Path(self.script.dir) / "env.py"


def load(
    config_file: str | None = None,
    section: str = "alembic",
    x: Sequence[str] = (),
    url: str | None = None,
    lock_timeout: float | None = None,
    secrets: Secrets | None = None,
) -> Project:
    """Load the project of the working directory, or the one of `config_file`.

    Args:
        config_file: as ``alembic -c``; an ini file or a ``pyproject.toml``.
        section: as ``alembic -n``.
        x: as ``alembic -x``, for env.py.
        url: the database to use, whatever env.py says.
        lock_timeout: in seconds; None takes the project's setting, or 5.
        secrets: where the passwords that come up are remembered, to be kept out of all text.

    Raises:
        NoConfig, BadConfig, NoScriptLocation, BadUrl: see there.
    """
    secrets = secrets or Secrets()
    secrets.add(os.environ.get("PGPASSWORD"))
    secrets.add_environment(os.environ)
    secrets.add_url(url or "")
    ini, toml = _files(config_file)
    source = shown(Path(config_file) if config_file else ini if ini.is_file() else toml)
    try:
        config = _config(config_file, ini, toml, section, x)
        configured = config.get_section(section) or {}
        settings = _settings(config, toml)
        timeouts = _timeouts(source, settings, lock_timeout)
    except errors.RescueError:
        raise
    except InterpolationError as error:  # its message has the rest of the value, which may be half a password
        raise errors.BadConfig(
            source, f"{error.option} in [{error.section}] has a % that must be written %%, or names no setting"
        ) from None
    except Exception as error:  # configparser, tomllib, Alembic: whatever they raise, the file is off
        raise errors.BadConfig(source, one_line(error, secrets.hide)) from error
    for value in configured.values():
        secrets.add_url(value)
    chosen = urls.with_installed_driver(urls.parse(url), configured.get("sqlalchemy.url")) if url else None
    if chosen is not None:
        secrets.add(chosen.password)
        rendered = chosen.render_as_string(hide_password=False)
        config.set_section_option(section, "sqlalchemy.url", rendered.replace("%", "%%"))
    script = _script(config, source, section, secrets.hide)
    return Project(config, script, chosen, source, settings, timeouts, secrets)


def _files(config_file: str | None) -> tuple[Path, Path]:
    """The ini file and the toml file, as ``alembic -c`` takes them: either may be missing, and both may count."""
    ini, toml = (Path(name) for name in NAMES)
    if config_file is None:
        if not ini.is_file() and "alembic" not in _tools(toml):
            raise errors.NoConfig(
                f"alembic.ini (or a pyproject.toml with [tool.alembic]) in {Path.cwd()}", find_below(Path.cwd())
            )
        return ini, toml
    named = Path(config_file)
    if not named.is_file():
        raise errors.NoConfig(str(named), find_below(Path.cwd()))
    return (ini, named) if named.name == NAMES[1] else (named, toml)


def _tools(toml: Path) -> dict[str, Any]:
    """The table ``[tool]`` of a pyproject.toml; empty where there is no such file."""
    try:
        return dict(tomllib.loads(toml.read_text("utf-8")).get("tool", {})) if toml.is_file() else {}
    except (OSError, ValueError) as error:
        raise errors.BadConfig(shown(toml), f"it cannot be read: {error}") from error


def find_below(root: Path) -> list[str]:
    """The Alembic configurations in the folders below `root`, the nearest first, relative to it."""
    found: list[Path] = []
    for folder, subfolders, files in os.walk(root):
        here = Path(folder)
        depth = len(here.relative_to(root).parts)
        subfolders[:] = sorted(f for f in subfolders if f not in _SKIPPED_FOLDERS and not f.startswith("."))
        if depth >= _DEPTH:
            subfolders[:] = []
        if NAMES[0] in files:
            found.append(here / NAMES[0])
        with suppress(errors.BadConfig):
            if NAMES[1] in files and "alembic" in _tools(here / NAMES[1]):
                found.append(here / NAMES[1])
    return [str(p.relative_to(root)) for p in sorted(found, key=lambda p: (len(p.parts), p))]


def _config(config_file: str | None, ini: Path, toml: Path, section: str, x: Sequence[str]) -> Config:
    """The Config that ``alembic -c ... -n ... -x ... current`` makes, its parsed command line included."""
    arguments = ["-n", section, *(part for value in x for part in ("-x", value)), "current"]
    if config_file:
        arguments = ["-c", config_file, *arguments]
    options = CommandLine(prog="alembic").parser.parse_args(arguments)
    more: dict[str, Any] = {}
    if "toml_file" in inspect.signature(Config).parameters:  # Alembic 1.16 and later
        more = {"toml_file": str(toml)}
    elif not ini.is_file():
        raise errors.BadConfig(shown(toml), "this version of Alembic does not read pyproject.toml")
    config = Config(str(ini), ini_section=section, cmd_opts=options, **more)
    config.file_config  # noqa: B018 - reads the file
    return config


def _script(config: Config, source: str, section: str, hide: Hide) -> ScriptDirectory:
    try:
        return ScriptDirectory.from_config(config)
    except CommandError as error:
        if "script_location" in str(error) or "has no" in str(error):
            raise errors.NoScriptLocation(source, section) from error
        raise errors.BadConfig(source, one_line(error, hide)) from error
    except Exception as error:  # a package that cannot be imported, interpolation, ...
        raise errors.BadConfig(source, f"{type(error).__name__}: {one_line(error, hide)}") from error


def _graph(script: ScriptDirectory, hide: Hide) -> RevisionMap:
    try:
        return scripts.graph(script)
    except errors.RescueError:
        raise
    except Exception as error:  # a revision file is Python, and may raise anything when it is read
        place = place_of(error, Path(script.dir) / "env.py")
        if isinstance(error, ModuleNotFoundError):
            raise errors.ModuleMissing(str(error.name), place) from error
        raise errors.BadConfig(place, f"{type(error).__name__}: {one_line(error, hide)}") from error


def _settings(config: Config, toml: Path) -> dict[str, str]:
    here = str(toml.absolute().parent)
    found = {k: str(v).replace("%(here)s", here) for k, v in _tools(toml).get("alembic_rescue", {}).items()}
    section = config.get_section("alembic_rescue") or {}
    defaults = config.file_config.defaults()
    found.update({k: v for k, v in section.items() if k in SETTINGS or k not in defaults})
    if unknown := sorted(set(found) - set(SETTINGS)):
        raise errors.BadConfig(
            "[alembic_rescue]",
            f"it has no setting {errors.listed(unknown)}; its settings are {errors.listed(SETTINGS)}",
        )
    return found


def _sensible(seconds: float) -> bool:
    """Whether a timeout has at least one millisecond (for PostgreSQL 0 means none), and fits into its setting."""
    return _SHORTEST_TIMEOUT <= seconds <= _LONGEST_TIMEOUT


def _timeouts(source: str, settings: dict[str, str], lock: float | None) -> Timeouts:
    seconds: dict[str, float] = {}
    for name in ("lock", "statement", "connect"):
        value = settings.get(f"{name}_timeout")
        if value is None:
            continue
        try:
            seconds[name] = float(value)
        except ValueError:
            raise errors.BadConfig(source, f"{name}_timeout is {value!r}, which is not a number of seconds") from None
    if bad := [f"{name}_timeout" for name, value in seconds.items() if not _sensible(value)]:
        raise errors.BadConfig(source, f"{errors.listed(bad)} must be {_SENSIBLE}")
    if lock is not None:
        if not _sensible(lock):
            raise errors.BadUsage(f"--lock-timeout must be {_SENSIBLE}")
        seconds["lock"] = lock
    return Timeouts(**seconds)
